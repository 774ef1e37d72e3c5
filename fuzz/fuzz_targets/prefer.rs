//! The header `Prefer`, as bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redsync_fuzz::text;
use redsync_tests::inputs::prefer;

const WORDS: &[&str] = &[
    "wait",
    "wait=",
    "99999999999999999999",
    "ä",
    "respond-async",
];

fuzz_target!(|fields: Vec<&[u8]>| {
    let fields = fields
        .into_iter()
        .map(|field| text(field, WORDS).into_bytes());
    prefer::check(&fields.collect::<Vec<_>>());
});
