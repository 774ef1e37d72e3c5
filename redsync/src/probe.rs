//! A probe of all nodes: whether each of them does what a lock needs.

use std::{pin::pin, sync::Arc};

use crate::{
    Mode, NodeError, OwnerValue, Vote, Votes, common::Common, lease::Lease, options::Options,
    request::Request,
};

/// Acquires a plain exclusive lock of its own on every node, and releases it.
///
/// # Cancel safety
///
/// If the future is dropped, the lock is released in the background.
pub(crate) async fn probe(common: &Arc<Common>, defaults: &Options) -> Votes {
    let mut options = defaults.clone();
    options.kind.mode = Mode::Exclusive;
    options.kind.fencing = false;
    options.kind.permits = 1;
    // Every node is to vote.
    options.rounds.fail_fast = false;
    // The random part of the name is public, so it is not the owner value.
    let random = OwnerValue::random("redsync:probe:");
    let value = OwnerValue::random("");
    let name: Arc<str> = (random.as_ref())
        .map_or("redsync:probe", OwnerValue::as_str)
        .into();
    let request = Request::new(&[Arc::clone(&name)].into(), &Arc::new(options));
    match (request, value) {
        (Ok(request), Ok(value)) => lock_and_release(common, &request, value).await,
        // No name fits behind the prefix, or the system has no random numbers.
        _ => (common.nodes).not_asked(&name.into(), 0, &NodeError::NotSent),
    }
}

/// Acquires and releases the lock. A node that fails to do one of the two votes with that failure.
async fn lock_and_release(common: &Arc<Common>, request: &Request, value: OwnerValue) -> Votes {
    let lease = Lease::new(common.site(), request, 0, value, false);
    let owned = common.own(Arc::clone(&lease));
    // Dropped before `owned`, so that the release follows the acquisition.
    let mut acquiring = pin!(lease.acquire());
    acquiring.as_mut().await;
    let mut votes = acquiring.take_votes();
    let mut releasing = pin!(owned.undo());
    releasing.as_mut().await;
    for (vote, released) in votes.iter_mut().zip(releasing.take_votes()) {
        if matches!(vote, Some(Vote::Granted)) && matches!(released, Some(Vote::Failed(_))) {
            *vote = released;
        }
    }
    lease.votes(votes)
}
