//! The header `Prefer`, as bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redsync_tests::inputs::prefer;

fuzz_target!(|fields: Vec<Vec<u8>>| {
    prefer::check(&fields);
});
