//! Templates of paths, and the values that are filled in.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redsync_tests::inputs::path;

fuzz_target!(|input: (String, [String; 2], [String; 2])| {
    let (template, one, other) = input;
    path::check(&template, &one, &other);
});
