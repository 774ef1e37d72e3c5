//! Numbers for fencing tokens.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redsync_tests::inputs::fence;

/// A number that others are often equal to, or that is at the end of what is possible.
fn number((kind, number): (u8, u64)) -> u64 {
    match kind % 3 {
        0 => number % 4,
        1 => (1 << 62) - 1 + number % 4,
        _ => number,
    }
}

fuzz_target!(|input: ([(u8, u64); 3], &[u8])| {
    let (numbers, text) = input;
    fence::check(text);
    fence::check_agreement(numbers.map(number));
});
