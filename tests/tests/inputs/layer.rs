//! What a layer reads from requests.

use proptest::{collection::vec, prelude::*};
use redsync_tests::inputs::{header, joins, path, prefer};

use super::cases;

/// Values with the characters that join and escape them.
fn value() -> impl Strategy<Value = String> {
    prop_oneof!["[ab:%{}/|,#]{0,4}", "\\PC{1,6}"]
}

fn template() -> impl Strategy<Value = String> {
    let part = prop_oneof!["[a:/]{1,2}", r"\{[ab]\}", "[{}*%a-]{1,2}", "\\PC"];
    vec(part, 0..6).prop_map(|parts| parts.concat())
}

/// The names of locks, also with what layers and nodes put before and behind them.
fn name() -> impl Strategy<Value = String> {
    let known = prop_oneof![
        "a?:fence",
        "a?:permit-[0-9]?",
        "#sha256:[0-9a-f]{64}",
        "b{210}[ab]{0,2}"
    ];
    prop_oneof![3 => value(), 1 => known]
}

/// The values of a header, mostly one.
fn values(value: &'static str) -> impl Strategy<Value = Vec<Vec<u8>>> {
    let one = prop_oneof![
        3 => value.prop_map(String::into_bytes),
        1 => vec(any::<u8>(), 0..9),
    ];
    prop_oneof![3 => vec(one.clone(), 1), 1 => vec(one, 0..4)]
}

proptest! {
    #![proptest_config(cases(3_000))]

    #[test]
    fn different_path_parameters_make_different_names(
        template in prop_oneof![Just("{a}:{b}".to_owned()), template()],
        one in vec(value(), 2),
        other in vec(value(), 2),
    ) {
        path::check(&template, &one, &other);
    }

    #[test]
    fn a_name_is_made_of_one_visible_header_only(values in values("[!-~]{1,9}")) {
        header::check(&values);
    }

    #[test]
    fn different_lists_of_names_are_different_locks(
        prefix in "[a:]{0,2}",
        hashed in any::<bool>(),
        one in vec(name(), 0..3),
        other in vec(name(), 0..3),
    ) {
        joins::check(&prefix, hashed, &one, &other);
    }

    #[test]
    fn any_preference_is_answered(fields in values("(wait|[a-z\\t ]{0,3}|[;,=\\\\\"]|[0-9]{1,22}){0,9}")) {
        prefer::check(&fields);
    }

    #[test]
    fn the_first_preference_to_wait_counts(
        list in vec(("[wW]ait|[a-z]{1,3}", "[0-9]{0,22}|[0-9;,= \\\\\"]{0,5}"), 0..4),
    ) {
        prefer::check_list(&list);
    }
}
