//! Replies of three servers to all that a lock asks them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redsync_fuzz::replies::Answer;
use redsync_tests::inputs::locks;

fuzz_target!(|input: (u8, [Vec<Answer<'_>>; 3])| {
    let (kind, answers) = input;
    let replies = answers.map(|answers| answers.into_iter().take(16).map(Into::into).collect());
    locks::check(kind, &replies);
});
