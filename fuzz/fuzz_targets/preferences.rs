//! The header `Prefer`, as a list of preferences.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redsync_fuzz::text;
use redsync_tests::inputs::prefer;

const NAMES: &[&str] = &["wait", "Wait", "waiting"];
const VALUES: &[&str] = &["18446744073709551615", "99999999999999999999", ", wait=7"];

fuzz_target!(|list: Vec<(&[u8], &[u8])>| {
    let list = list.into_iter().take(4);
    let list = list.map(|(name, value)| (text(name, NAMES), text(value, VALUES)));
    prefer::check_list(&list.collect::<Vec<_>>());
});
