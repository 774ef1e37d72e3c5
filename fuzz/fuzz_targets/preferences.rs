//! The header `Prefer`, as a list of preferences.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redsync_tests::inputs::prefer;

fuzz_target!(|list: Vec<(bool, String, String)>| {
    let list = list.into_iter().map(|(waits, name, value)| {
        // A fuzzer would seldom come by the word.
        (if waits { "wait".to_owned() } else { name }, value)
    });
    prefer::check_list(&list.collect::<Vec<_>>());
});
