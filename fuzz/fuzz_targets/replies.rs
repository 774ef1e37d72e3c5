//! Replies of servers, to every operation of a node.

#![no_main]

use libfuzzer_sys::fuzz_target;
use redsync_fuzz::replies::Answer;
use redsync_tests::inputs::replies::{self, Asked};

fuzz_target!(|input: ((u8, u8), bool, Vec<Answer<'_>>)| {
    let ((operation, kind), both, answers) = input;
    let names = ["a", "b"].map(String::from);
    let names = if both { &names[..] } else { &names[..1] };
    let answers = answers.into_iter().map(Into::into).collect();
    replies::check(Asked { operation, kind }, names, answers);
});
