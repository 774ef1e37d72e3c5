//! Errors that servers answer with.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redsync_fuzz::text;
use redsync_tests::inputs::refusals;

const WORDS: &[&str] = &[
    "ERR",
    "READONLY",
    "@user_script:",
    "@user_script: 14: ",
    "Error running script (call to f_",
    "): ",
    ", with args beginning with: ",
    "The user executing the script can't ",
    " script: ",
    "ä",
];

fuzz_target!(|input: (&[u8], &[u8])| {
    let (code, message) = input;
    refusals::check(&text(code, WORDS), &text(message, WORDS));
});
