//! A probe of all nodes: whether each of them does what a lock needs.

use std::{pin::pin, sync::Arc};

use crate::{
    Mode, NodeError, OwnerValue, Vote, Votes, common::Common, lease::Lease, options::Options,
    quorum::cast::RoundVotes, request::Request,
};

/// Acquires a plain exclusive lock of its own on every node, extends it and releases it.
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
        (Ok(request), Ok(value)) => lock(common, &request, value).await,
        // No name fits behind the prefix, or the system has no random numbers.
        _ => (common.nodes).not_asked(&name.into(), 0, &NodeError::NotSent),
    }
}

/// Acquires, extends and releases the lock. A node that fails to do one of these votes with that
/// failure.
async fn lock(common: &Arc<Common>, request: &Request, value: OwnerValue) -> Votes {
    let lease = Lease::new(common.site(), request, 0, value, false);
    let owned = common.own(Arc::clone(&lease));
    // Dropped before `owned`, so that the release follows the acquisition.
    let mut acquiring = pin!(lease.acquire());
    acquiring.as_mut().await;
    let mut votes = acquiring.take_votes();
    let mut extending = pin!(lease.test_extension());
    extending.as_mut().await;
    fail(&mut votes, extending.take_votes());
    let mut releasing = pin!(owned.undo());
    releasing.as_mut().await;
    fail(&mut votes, releasing.take_votes());
    lease.votes(votes)
}

/// Replaces the votes of nodes that have failed only in a later round.
fn fail(votes: &mut RoundVotes, later: RoundVotes) {
    for (vote, later) in votes.iter_mut().zip(later) {
        if matches!(vote, Some(Vote::Granted)) && matches!(later, Some(Vote::Failed(_))) {
            *vote = later;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_takes_the_place_of_a_grant_only() {
        let refused = || Vote::Refused { remaining: None };
        let mut votes = vec![
            Some(Vote::Granted),
            Some(Vote::Granted),
            Some(Vote::Granted),
            Some(Vote::Failed(NodeError::TimedOut)),
            Some(refused()),
        ];
        let later = vec![
            Some(Vote::Granted),
            Some(Vote::Failed(NodeError::NotSent)),
            // The key was not there any more.
            Some(refused()),
            Some(Vote::Failed(NodeError::NotSent)),
            Some(Vote::Failed(NodeError::NotSent)),
        ];
        fail(&mut votes, later);
        assert!(matches!(
            votes[..],
            [
                Some(Vote::Granted),
                Some(Vote::Failed(NodeError::NotSent)),
                Some(Vote::Granted),
                Some(Vote::Failed(NodeError::TimedOut)),
                Some(Vote::Refused { .. }),
            ]
        ));
    }
}
