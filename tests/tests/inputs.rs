//! Input from outside, of every shape: nothing panics, and different keys stay different names.

use proptest::prelude::*;
use redsync::GuardParts;
use redsync::node::redis::RedisNode;
use redsync_tower::key;

/// The values of a path parameter, with the characters that join and escape them.
fn parameter() -> impl Strategy<Value = String> {
    prop_oneof!["[ab:%{}/|,]{1,4}", "\\PC{1,6}"]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn different_path_parameters_make_different_names(
        one in (parameter(), parameter()),
        other in (parameter(), parameter()),
    ) {
        let key = key::path("{a}:{b}");
        let name = |(a, b): &(String, String)| {
            let key = key.name([("a", a.as_str()), ("b", b.as_str())]);
            key.map(|key| key.names().map(str::to_owned).collect::<Vec<_>>())
        };
        if let (Ok(first), Ok(second)) = (name(&one), name(&other)) {
            prop_assert_eq!(first == second, one == other);
        }
    }

    #[test]
    fn any_text_is_a_url_or_an_error(text in prop_oneof!["\\PC*", "rediss?://\\PC{0,30}"]) {
        let _ = RedisNode::connect(&text);
    }

    #[test]
    fn any_text_is_parts_of_a_guard_or_an_error(
        text in prop_oneof!["\\PC*", r#"\{"(names|value|mode|token|until)":[\[\]"a-z0-9,]{0,9}\}"#],
    ) {
        let _ = serde_json::from_str::<GuardParts>(&text);
    }
}
