//! What a client reads from servers, from URLs, and from the parts of guards.

use proptest::{collection::vec, prelude::*};
use redsync::{NodeError, node::redis::Reply};
use redsync_tests::inputs::{fence, locks, parts, refusals, replies, urls};

use super::cases;

fn reply() -> impl Strategy<Value = Reply> {
    let numbers = prop_oneof![-2..5_i64, any::<i64>()];
    let words = prop_oneof![
        "exclusive|shared|foreign|value|run_id:[ab\\r\\n ]{0,3}|[0-9]{0,22}"
            .prop_map(String::into_bytes),
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

/// The replies of a server to a lock, of which many grant it.
fn sent() -> impl Strategy<Value = Vec<Result<Reply, NodeError>>> {
    let number = "[0-3]|[0-9]{1,22}".prop_map(|number| Reply::Bytes(number.into()));
    let granted = prop_oneof![
        Just(Reply::Status("OK".into())),
        Just(Reply::Integer(1)),
        number.prop_map(|number| Reply::Array(vec![Reply::Integer(1), number])),
        Just(Reply::Array(vec![Reply::Integer(1)])),
    ];
    // The first is about the server itself.
    let sent = vec(prop_oneof![3 => granted.prop_map(Ok), 1 => answer()], 0..6);
    sent.prop_map(|mut sent| {
        sent.insert(0, Ok(Reply::Nil));
        sent
    })
}

/// Numbers that are often equal, or at the end of what is possible.
fn number() -> impl Strategy<Value = u64> {
    let largest = (1_u64 << 62) - 1;
    prop_oneof![3 => 1..5_u64, 2 => largest..largest + 4, 1 => any::<u64>(), 1 => Just(u64::MAX)]
}

/// A part of a URL.
fn part() -> impl Strategy<Value = String> {
    prop_oneof![3 => "[a:/@?#%1]{0,4}", 1 => "\\PC{0,9}"]
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
    fn no_password_of_a_url_is_shown(
        scheme in prop_oneof!["rediss?://", "(unix|valkey|http)://", "\\PC{0,9}"],
        [before, after] in [part(), part()],
        host in prop_oneof!["(a|10.0.0.1)(:[0-9]{1,6})?(/[0-9x])?", part()],
        query in "([?&]?(db|user|pass|x)=[a1@]?){0,3}",
    ) {
        urls::check(&scheme, [&before, &after], &host, &query);
    }

    #[test]
    fn an_error_has_its_code_whatever_the_age_of_the_server(
        code in "[A-Z]{2,5}|ERR|\\PC{0,3}",
        message in "(READONLY|-|f_|@user_script:|[0-9]{1,2}: |\\): |, with args| script: |\\PC){0,6}",
    ) {
        refusals::check(&code, &message);
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
    fn nobody_has_a_lock_that_no_majority_has_granted(kind in 0..6_u8, sent in [sent(), sent(), sent()]) {
        locks::check(kind, &sent);
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
