use proptest::prelude::*;
use redis::{PushKind, Value, VerbatimFormat};

use super::*;
use crate::node::redis::reply::votes::{is_number, is_vote_for};

/// Values of every kind, nested in each other. Those that mean something to a lock are frequent.
pub(crate) fn values() -> impl Strategy<Value = Value> {
    let text = || prop_oneof![Just("OK".to_owned()), Just("7".to_owned()), ".*"];
    let leaf = prop_oneof![
        Just(Value::Nil),
        Just(Value::Okay),
        (-1_i64..4).prop_map(Value::Int),
        any::<i64>().prop_map(Value::Int),
        text().prop_map(|text| Value::BulkString(text.into_bytes())),
        any::<Vec<u8>>().prop_map(Value::BulkString),
        text().prop_map(Value::SimpleString),
        text().prop_map(|text| Value::VerbatimString {
            format: VerbatimFormat::Text,
            text,
        }),
        any::<f64>().prop_map(Value::Double),
        any::<bool>().prop_map(Value::Boolean),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let some = || prop::collection::vec(inner.clone(), 0..3);
        let pairs = || prop::collection::vec((inner.clone(), inner.clone()), 0..3);
        prop_oneof![
            4 => some().prop_map(Value::Array),
            1 => some().prop_map(Value::Set),
            1 => pairs().prop_map(Value::Map),
            1 => (inner.clone(), pairs()).prop_map(|(data, attributes)| Value::Attribute {
                data: Box::new(data),
                attributes,
            }),
            1 => (kinds(), some()).prop_map(|(kind, data)| Value::Push { kind, data }),
        ]
    })
}

pub(crate) fn kinds() -> impl Strategy<Value = PushKind> {
    prop_oneof![
        4 => Just(PushKind::Invalidate),
        1 => Just(PushKind::Disconnection),
        1 => Just(PushKind::Message),
        1 => Just(PushKind::Subscribe),
        1 => ".*".prop_map(PushKind::Other),
    ]
}

/// Whether locks know all kinds of values in this one.
fn is_known(value: &Value) -> bool {
    match value {
        Value::Array(values) => values.iter().all(is_known),
        Value::Nil
        | Value::Okay
        | Value::Int(_)
        | Value::BulkString(_)
        | Value::SimpleString(_)
        | Value::VerbatimString { .. } => true,
        _ => false,
    }
}

/// Whether a value is what the script that acquires returns if it has.
fn grants(value: &Value) -> bool {
    let Value::Array(parts) = value else {
        return false;
    };
    match &parts[..] {
        [Value::Int(1)] => true,
        [Value::Int(1), Value::BulkString(number)] => is_number(number),
        [Value::Int(1), Value::VerbatimString { text, .. }] => is_number(text.as_bytes()),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_value_is_a_reply_if_it_is_of_a_known_kind_and_a_vote_if_it_is_what_a_script_returns(
        value in values()
    ) {
        let (is_known, grants) = (is_known(&value), grants(&value));
        let reply = reply(value);
        prop_assert_eq!(reply.is_ok(), is_known);
        prop_assert_eq!(reply.is_ok_and(|reply| is_vote_for(&reply)), grants);
    }
}
