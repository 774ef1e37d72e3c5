//! Headers that contain a key.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redsync_tests::inputs::header;

fuzz_target!(|values: Vec<&[u8]>| {
    header::check(&values);
});
