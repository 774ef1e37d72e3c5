//! Replies of servers, to every operation of a node.

use std::time::Duration;

use futures_util::FutureExt;
use redsync::{
    FencingToken, Mode, NodeError,
    node::{
        AcquireVote, Entry, ExtendVote, Node, RaiseVote, ReleaseVote,
        redis::{RedisNode, Reply},
    },
};

use super::{answering::Replies, block_on};

/// The owner value of the lock.
const VALUE: &str = "value";

/// What a server is asked for: the number of an operation, and that of a kind of lock.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// 0 to 6.
    pub operation: u8,
    /// 0 to 3.
    pub kind: u8,
}

/// Checks that an operation ends with a vote or an error, whatever the server replies to its
/// commands, and that it votes for a lock only if one of the replies does.
///
/// # Panics
///
/// Panics if that does not hold.
pub fn check(asked: Asked, names: &[String], replies: Vec<Result<Reply, NodeError>>) {
    if names.is_empty() {
        return;
    }
    let grants = replies.iter().flatten().any(grants);
    let node = RedisNode::new(Replies::new(replies));
    let entry = entry(asked.kind).with_names(names.iter().map(String::as_str));
    let voted = block_on(async { vote(&node, asked.operation, &entry).now_or_never() });
    let voted = voted.expect("it does not wait for more");
    assert!(grants || !voted, "a vote that no reply has given");
}

/// Whether a reply may be one to an operation that has succeeded, or one that says who holds a name.
fn grants(reply: &Reply) -> bool {
    match reply {
        Reply::Status(status) => status == "OK",
        Reply::Integer(1 | 2) => true,
        Reply::Array(parts) => {
            parts.first() == Some(&Reply::Integer(1)) || parts.contains(&Reply::Bytes(VALUE.into()))
        }
        _ => false,
    }
}

/// Whether the node votes for the lock.
async fn vote<N: Node>(node: &N, operation: u8, entry: &Entry) -> bool {
    let token = FencingToken::new(7);
    let extended = |vote| matches!(vote, Ok(ExtendVote::Extended | ExtendVote::Healed));
    match operation % 7 {
        0 => matches!(node.acquire(entry).await, Ok(AcquireVote::Acquired { .. })),
        1 => matches!(node.raise(entry, token).await, Ok(RaiseVote::Raised)),
        2 => extended(node.extend(entry, None, false).await),
        3 => extended(node.extend(entry, Some(token), true).await),
        4 => matches!(node.release(entry).await, Ok(ReleaseVote::Released)),
        5 => {
            drop(node.inspect(&entry.names[0]).await);
            false
        }
        _ => {
            // Two servers that tell nothing are not the same.
            assert_ne!(node.identity().await.ok().flatten().as_deref(), Some(""));
            false
        }
    }
}

fn entry(kind: u8) -> Entry {
    let entry = Entry::new("", VALUE.into(), Duration::from_secs(8));
    match kind % 4 {
        0 => entry.with_mode(Mode::Shared),
        1 => entry.with_fencing(true),
        2 => entry.with_repetition(true),
        _ => entry,
    }
}
