//! Keys of several names.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redsync_fuzz::text;
use redsync_tests::inputs::joins;

const LONG: &str = "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb";
const WORDS: &[&str] = &[":fence", ":permit-", "#sha256:", LONG, "ä", "\u{1f512}"];

fuzz_target!(|input: (bool, &[u8], Vec<&[u8]>, Vec<&[u8]>)| {
    let (hashed, prefix, one, other) = input;
    let names = |names: Vec<&[u8]>| -> Vec<_> {
        let names = names.into_iter().take(4);
        names.map(|name| text(name, WORDS)).collect()
    };
    joins::check(&text(prefix, WORDS), hashed, &names(one), &names(other));
});
