//! Keys of several names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redsync_tests::inputs::joins;

fuzz_target!(|input: (String, bool, Vec<String>, Vec<String>)| {
    let (prefix, hashed, one, other) = input;
    joins::check(&prefix, hashed, &one, &other);
});
