//! Templates of paths, and the values that are filled in.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redsync_fuzz::text;
use redsync_tests::inputs::path;

const TEMPLATE: &[&str] = &["{a}", "{b}", "{a}:{b}", "/", "ä", "{c}"];
const VALUE: &[&str] = &["{b}", ":", "%3A", "ä", "\u{1f512}"];

fuzz_target!(|input: (&[u8], [&[u8]; 2], [&[u8]; 2])| {
    let (template, one, other) = input;
    let values = |values: [&[u8]; 2]| values.map(|value| text(value, VALUE));
    path::check(&text(template, TEMPLATE), &values(one), &values(other));
});
