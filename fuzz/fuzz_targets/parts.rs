//! The parts of guards.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redsync_tests::inputs::parts;

fuzz_target!(|input: (String, Option<String>, Option<u64>, u32)| {
    let (text, value, token, millis) = input;
    parts::check(&text);
    parts::check_changed(value.as_deref(), token, millis);
});
