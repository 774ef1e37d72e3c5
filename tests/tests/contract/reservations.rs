//! The contract of reservations, on nodes that are slow or do not keep it.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::future::FutureExt;
use redsync::{
    NodeError,
    node::{AcquireVote, Entry, MemoryNode, Node, NodeWrapper, ReleaseVote, contract},
};
use tokio::time::{sleep, timeout};

/// What a node does with an exclusive acquisition that shared holders keep out.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Reserves,
    ReservesNothing,
    /// It does not even know who they are.
    KnowsNothing,
}

struct Slow {
    store: MemoryNode,
    /// How long it takes to answer.
    takes: Duration,
    way: Way,
}

impl NodeWrapper for Slow {
    type Inner = MemoryNode;

    fn inner(&self) -> &MemoryNode {
        &self.store
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        sleep(self.takes).await;
        let entry = entry.clone();
        let is_repeated = entry.repeated && self.way == Way::Reserves;
        let vote = self
            .store
            .acquire(&entry.with_repetition(is_repeated))
            .await?;
        let is_taken = matches!(vote, AcquireVote::Taken { .. });
        if is_taken && self.way == Way::KnowsNothing {
            return Ok(AcquireVote::Taken { remaining: None });
        }
        Ok(vote)
    }

    async fn release(&self, entry: &Entry) -> Result<ReleaseVote, NodeError> {
        sleep(self.takes).await;
        self.store.release(entry).await
    }
}

/// What the check says of a node, if it does not keep the contract.
async fn complaint(millis: u64, way: Way) -> Option<String> {
    let node = Slow {
        store: MemoryNode::new(),
        takes: Duration::from_millis(millis),
        way,
    };
    let check = AssertUnwindSafe(contract::let_exclusive_enter(&node)).catch_unwind();
    let checked = timeout(Duration::from_secs(600), check).await;
    let panic = checked.expect("the check ends").err()?;
    Some(*panic.downcast().expect("a message"))
}

#[tokio::test(start_paused = true)]
async fn a_slow_node_keeps_the_contract_of_reservations() {
    for millis in [0, 20, 150] {
        assert_eq!(complaint(millis, Way::Reserves).await, None, "{millis}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_reserves_nothing_is_reported_however_slow_it_is() {
    for millis in [0, 20, 150, 600] {
        let complaint = complaint(millis, Way::ReservesNothing).await.unwrap();
        let promise = "an exclusive one that shared holders have kept out is next";
        assert!(complaint.contains(promise), "{complaint}");
        assert!(complaint.contains("found Acquired"), "{complaint}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_never_knows_the_holders_is_reported() {
    let complaint = complaint(20, Way::KnowsNothing).await.unwrap();
    let expected = "expected Reserved, in one of 20 tries";
    assert!(complaint.contains(expected), "{complaint}");
}

/// The reservation is over before it can be seen.
#[tokio::test(start_paused = true)]
async fn a_node_that_is_too_slow_for_the_check_is_reported() {
    for millis in [260, 1000] {
        let complaint = complaint(millis, Way::Reserves).await.unwrap();
        assert!(complaint.contains("too slow"), "{complaint}");
    }
}
