//! Replies of servers, to every operation of a node.

use std::time::Duration;

use futures_util::FutureExt;
use redsync::{
    FencingToken, Mode, NodeError,
    node::{
        Entry, Node,
        redis::{RedisNode, Reply},
    },
};

use super::{answering::Replies, block_on};

/// What a server is asked for: the number of an operation, and that of a kind of lock.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// 0 to 6.
    pub operation: u8,
    /// 0 to 3.
    pub kind: u8,
}

/// Checks that an operation ends with a vote or an error, whatever the server replies to its
/// commands.
///
/// # Panics
///
/// Panics if that does not hold.
pub fn check(asked: Asked, names: &[String], replies: Vec<Result<Reply, NodeError>>) {
    if names.is_empty() {
        return;
    }
    let node = RedisNode::new(Replies::new(replies));
    let entry = entry(asked.kind).with_names(names.iter().map(String::as_str));
    let token = FencingToken::new(7);
    let ended = block_on(async {
        match asked.operation % 7 {
            0 => node.acquire(&entry).map(drop).now_or_never(),
            1 => node.raise(&entry, token).map(drop).now_or_never(),
            2 => node.extend(&entry, None, false).map(drop).now_or_never(),
            3 => (node.extend(&entry, Some(token), true).map(drop)).now_or_never(),
            4 => node.release(&entry).map(drop).now_or_never(),
            5 => node.inspect(&entry.names[0]).map(drop).now_or_never(),
            _ => node.identity().map(drop).now_or_never(),
        }
    });
    assert!(ended.is_some(), "it waits for more");
}

fn entry(kind: u8) -> Entry {
    let entry = Entry::new("", "value".into(), Duration::from_secs(8));
    match kind % 4 {
        0 => entry.with_mode(Mode::Shared),
        1 => entry.with_fencing(true),
        2 => entry.with_repetition(true),
        _ => entry,
    }
}
