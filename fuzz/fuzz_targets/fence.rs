//! Numbers for fencing tokens.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redsync_tests::inputs::fence;

fuzz_target!(|input: (Vec<u8>, [u64; 3])| {
    let (text, numbers) = input;
    fence::check(&text);
    fence::check_agreement(numbers);
});
