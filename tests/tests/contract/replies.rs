//! Replies of every shape, to every operation of a node: whatever a server sends, there is a vote or an error.

use std::collections::VecDeque;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::FutureExt;
use proptest::collection::vec;
use proptest::prelude::*;
use redsync::node::redis::{Driver, RedisNode, Reply};
use redsync::node::{Entry, Node};
use redsync::{FencingToken, Mode, NodeError};

/// A server that sends these replies, whatever it is asked.
struct Replies(Mutex<VecDeque<Result<Reply, NodeError>>>);

impl Driver for Replies {
    fn address(&self) -> &str {
        "replies"
    }

    async fn command(&self, _: &[&[u8]]) -> Result<Reply, NodeError> {
        let next = self.0.lock().expect("no panic").pop_front();
        next.unwrap_or(Err(NodeError::TimedOut))
    }
}

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

proptest! {
    #![proptest_config(ProptestConfig { cases: 5_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_server_replies_an_operation_ends(
        answers in vec(answer(), 0..8),
        names in vec("[a-c]", 1..3),
        operation in 0..7,
        kind in 0..4,
    ) {
        let node = RedisNode::new(Replies(Mutex::new(answers.into())));
        let entry = Entry::new("", "value".into(), Duration::from_secs(8)).with_names(names);
        let entry = match kind {
            0 => entry.with_mode(Mode::Shared),
            1 => entry.with_fencing(true),
            2 => entry.with_repetition(true),
            _ => entry,
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let ended = runtime.block_on(async {
            match operation {
                0 => node.acquire(&entry).map(drop).now_or_never(),
                1 => node.raise(&entry, FencingToken::new(7)).map(drop).now_or_never(),
                2 => node.extend(&entry, None, false).map(drop).now_or_never(),
                3 => node.extend(&entry, Some(FencingToken::new(7)), true).map(drop).now_or_never(),
                4 => node.release(&entry).map(drop).now_or_never(),
                5 => node.inspect(&entry.names[0]).map(drop).now_or_never(),
                _ => node.identity().map(drop).now_or_never(),
            }
        });
        prop_assert!(ended.is_some());
    }
}
