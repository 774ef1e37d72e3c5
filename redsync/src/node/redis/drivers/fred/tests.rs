use fred::types::RespVersion;
use proptest::prelude::*;

use super::*;
use crate::node::redis::reply::votes::{is_number, is_vote_for};

/// Frames that contain bytes, made of these.
fn of_bytes(bytes: Vec<u8>, kind: u8) -> Resp3Frame {
    let (data, attributes) = (bytes.into(), None);
    match kind {
        0 => Resp3Frame::BlobString { data, attributes },
        1 => Resp3Frame::BlobError { data, attributes },
        2 => Resp3Frame::SimpleString { data, attributes },
        3 => Resp3Frame::BigNumber { data, attributes },
        _ => Resp3Frame::ChunkedString(data),
    }
}

/// Frames of every kind, nested in each other, but for maps and sets. Those that mean something to a lock are
/// frequent.
fn frames() -> impl Strategy<Value = Resp3Frame> {
    let attributes = None;
    let words = prop_oneof![
        Just(b"OK".to_vec()),
        Just(b"7".to_vec()),
        Just(b"NOSCRIPT No matching script.".to_vec()),
        any::<Vec<u8>>(),
    ];
    let leaf = prop_oneof![
        Just(Resp3Frame::Null),
        (-1_i64..4).prop_map(Resp3Frame::from),
        any::<i64>().prop_map(Resp3Frame::from),
        (words, 0..5_u8).prop_map(|(bytes, kind)| of_bytes(bytes, kind)),
        ".*".prop_map(move |text| Resp3Frame::SimpleError {
            data: text.into(),
            attributes: None
        }),
        any::<bool>().prop_map(Resp3Frame::from),
        any::<f64>().prop_map(move |data| Resp3Frame::Double {
            data,
            attributes: None
        }),
        Just(Resp3Frame::Hello {
            version: RespVersion::RESP3,
            auth: None,
            setname: None,
        }),
    ];
    leaf.prop_recursive(4, 24, 3, move |inner| {
        let some = || prop::collection::vec(inner.clone(), 0..3);
        let attributes = attributes.clone();
        prop_oneof![
            4 => some().prop_map(|data| Resp3Frame::Array { data, attributes: None }),
            1 => some().prop_map(move |data| Resp3Frame::Push {
                data,
                attributes: attributes.clone(),
            }),
        ]
    })
}

/// Whether locks know all kinds of frames in this one, and none is an error.
fn is_known(frame: &Resp3Frame) -> bool {
    match frame {
        Resp3Frame::Array { data, .. } => data.iter().all(is_known),
        Resp3Frame::Null
        | Resp3Frame::SimpleString { .. }
        | Resp3Frame::Number { .. }
        | Resp3Frame::BlobString { .. } => true,
        _ => false,
    }
}

/// Whether a frame is what the script that acquires returns if it has.
fn grants(frame: &Resp3Frame) -> bool {
    let Resp3Frame::Array { data, .. } = frame else {
        return false;
    };
    match &data[..] {
        [Resp3Frame::Number { data: 1, .. }] => true,
        [
            Resp3Frame::Number { data: 1, .. },
            Resp3Frame::BlobString { data, .. },
        ] => is_number(data),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_frame_is_a_reply_if_it_is_of_a_known_kind_and_a_vote_if_it_is_what_a_script_returns(
        frame in frames()
    ) {
        let (is_known, grants) = (is_known(&frame), grants(&frame));
        let reply = reply(frame);
        prop_assert_eq!(reply.is_ok(), is_known);
        prop_assert_eq!(reply.is_ok_and(|reply| is_vote_for(&reply)), grants);
    }
}
