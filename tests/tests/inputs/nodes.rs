//! What a client reads from servers, from URLs, and from the parts of guards.

use proptest::{collection::vec, prelude::*};
use redsync::{
    NodeError,
    node::redis::{RedisNode, Reply},
};
use redsync_tests::inputs::{fence, parts, replies};

use super::cases;

fn reply() -> impl Strategy<Value = Reply> {
    let numbers = prop_oneof![-2..5_i64, any::<i64>()];
    let words = prop_oneof![
        "exclusive|shared|foreign|value|[0-9]{0,22}".prop_map(String::into_bytes),
        vec(any::<u8>(), 0..9)
    ];
    let one = prop_oneof![
        Just(Reply::Nil),
        ".{0,5}".prop_map(|text| Reply::Status(text.into())),
        numbers.prop_map(Reply::Integer),
        words.prop_map(Reply::Bytes),
    ];
    one.prop_recursive(2, 12, 6, |inner| vec(inner, 0..6).prop_map(Reply::Array))
}

fn answer() -> impl Strategy<Value = Result<Reply, NodeError>> {
    let codes = "ERR|WRONGTYPE|NOSCRIPT|NOPERM|LOADING|OOM|.{0,4}";
    prop_oneof![
        6 => reply().prop_map(Ok),
        1 => (codes, ".{0,20}").prop_map(|(code, message)| Err(NodeError::refused(code, &message))),
    ]
}

/// Numbers that are often equal, or at the end of what is possible.
fn number() -> impl Strategy<Value = u64> {
    let largest = (1_u64 << 62) - 1;
    prop_oneof![3 => 1..5_u64, 2 => largest..largest + 4, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

const PARTS: &str = r#"\{"names":\["a?"\],"value":"b?","mode":"(Exclusive|Shared)","fencing_token":(null|-?[0-9]{1,20}),"remaining":\{"secs":[0-9]{1,20},"nanos":[0-9]{1,10}\}\}"#;

proptest! {
    #![proptest_config(cases(5_000))]

    #[test]
    fn whatever_a_server_replies_an_operation_ends(
        (operation, kind) in (0..7_u8, 0..4_u8),
        names in vec("[a-c]", 1..3),
        answers in vec(answer(), 0..8),
    ) {
        replies::check(replies::Asked { operation, kind }, &names, answers);
    }

    #[test]
    fn a_number_for_a_token_is_read_or_refused(
        number in prop_oneof!["[0-9]{0,22}", "[+-]?[0-9]{1,3}[ a]?"].prop_map(String::into_bytes),
    ) {
        fence::check(&number);
    }

    #[test]
    fn any_text_is_a_url_or_an_error(text in prop_oneof!["\\PC*", "rediss?://\\PC{0,30}"]) {
        let _ = RedisNode::connect(&text);
    }

    #[test]
    fn any_text_is_parts_of_a_guard_or_an_error(text in prop_oneof!["\\PC*", PARTS]) {
        parts::check(&text);
    }
}

proptest! {
    #![proptest_config(cases(1_000))]

    #[test]
    fn the_numbers_of_nodes_make_a_token_that_a_majority_has_granted(
        numbers in [number(), number(), number()],
    ) {
        fence::check_agreement(numbers);
    }

    #[test]
    fn only_the_parts_of_a_lock_that_is_held_make_a_guard(
        value in proptest::option::of("a?"),
        token in proptest::option::of(number()),
        millis in 0..3_u32,
    ) {
        parts::check_changed(value.as_deref(), token, millis);
    }
}
