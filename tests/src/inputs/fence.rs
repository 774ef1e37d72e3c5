//! Numbers for fencing tokens.

use std::time::Duration;

use redsync::{
    FencingToken, Guard, NodeError, Redsync,
    node::{
        AcquireVote, Entry, MemoryNode, Node, NodeWrapper, RaiseVote,
        redis::{RedisNode, Reply},
    },
};
use tokio::task::yield_now;

use super::{answering::Replies, block_on};

/// No node counts this far.
const LARGEST: u64 = 1 << 62;

/// Checks that a server's number is read if it is one, and is an error if it is not.
///
/// # Panics
///
/// Panics if that does not hold.
pub fn check(number: &[u8]) {
    let granted = Reply::Array(vec![Reply::Integer(1), Reply::Bytes(number.into())]);
    let node = RedisNode::new(Replies::new([Ok(granted)]));
    let entry = Entry::new("a", "value".into(), Duration::from_secs(8)).with_fencing(true);
    let answer = block_on(node.acquire(&entry));
    let is_number = !number.is_empty() && number.iter().all(u8::is_ascii_digit);
    let expected = str::from_utf8(number)
        .ok()
        .filter(|_| is_number)
        .and_then(|number| number.parse::<u64>().ok());
    match (answer, expected) {
        (Ok(AcquireVote::Acquired { number }), Some(expected)) => {
            assert_eq!(number.map(FencingToken::get), Some(expected));
        }
        (Err(NodeError::Unexpected(_)), None) => {}
        (answer, _) => panic!("{number:?} made {answer:?}"),
    }
}

/// Checks that whatever numbers three nodes return, a lock has the number of a node that at least
/// one other does not exceed, and the next holder the number that follows; and that there is no
/// lock only if two of the numbers were never granted.
///
/// # Panics
///
/// Panics if that does not hold.
pub fn check_agreement(numbers: [u64; 3]) {
    let nodes = numbers.map(|number| Numbered(MemoryNode::new(), number));
    let redsync = Redsync::new(nodes).expect("three nodes");
    let mutex = redsync.mutex("a").with_fencing(true);
    block_on(async {
        let impossible = numbers.iter().filter(|number| **number > LARGEST);
        let Ok(guard) = mutex.try_lock().await else {
            assert!(impossible.count() >= 2, "{numbers:?}");
            return;
        };
        let token = |guard: &Guard| guard.fencing_token().expect("a token").get();
        let first = token(&guard);
        let up_to_first = numbers.iter().filter(|number| **number <= first);
        assert!(
            first <= LARGEST && numbers.contains(&first) && up_to_first.count() >= 2,
            "{numbers:?} made {first}"
        );
        let next = tokio::spawn(mutex.lock());
        for _ in 0..20 {
            yield_now().await;
        }
        drop(guard);
        let next = next.await.expect("no panic").expect("the lock");
        let next = token(&next);
        // If the machine stands still, the lock may be released instead of handed over.
        assert!(
            next == first + 1 || numbers.contains(&next),
            "{numbers:?} made {next}"
        );
    });
}

/// A node that returns this number for a token.
struct Numbered(MemoryNode, u64);

impl NodeWrapper for Numbered {
    type Inner = MemoryNode;

    fn inner(&self) -> &MemoryNode {
        &self.0
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        let number = Some(FencingToken::new(self.1));
        let vote = self.0.acquire(entry).await?;
        Ok(match vote {
            AcquireVote::Acquired { .. } => AcquireVote::Acquired { number },
            other => other,
        })
    }

    async fn raise(&self, _: &Entry, _: FencingToken) -> Result<RaiseVote, NodeError> {
        Ok(RaiseVote::Raised)
    }
}
