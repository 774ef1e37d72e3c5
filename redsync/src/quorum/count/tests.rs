use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
};

use super::{
    super::votes::{NodeVote, Votes},
    *,
};
use crate::{node::NodeError, printable::Label};

#[derive(Default)]
struct Woken(AtomicUsize);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

fn polled(count: &Count, woken: &Arc<Woken>) -> Poll<Verdict> {
    let waker = Waker::from(Arc::clone(woken));
    count.poll_verdict(&Context::from_waker(&waker))
}

#[test]
fn the_deciding_vote_wakes_the_task_once() {
    let (count, woken) = (Count::new(5, true), Arc::new(Woken::default()));
    assert!(polled(&count, &woken).is_pending());
    for node in 0..2 {
        assert!(!count.vote(node, Vote::Granted));
        assert_eq!(woken.0.load(Ordering::Relaxed), 0);
    }
    for node in 2..5 {
        assert_eq!(count.vote(node, Vote::Granted), node == 4);
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    }
    assert_eq!(polled(&count, &woken), Poll::Ready(Verdict::Granted));
}

/// A waker that uses the count when it is dropped.
struct Reenters(Arc<Count>, Arc<AtomicUsize>);

impl Wake for Reenters {
    fn wake(self: Arc<Self>) {}
}

impl Drop for Reenters {
    fn drop(&mut self) {
        self.0.expect(0, Vote::Granted);
        self.1.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn a_waker_may_use_the_count_when_it_is_dropped() {
    let (count, dropped) = (Arc::new(Count::new(3, true)), Arc::default());
    let poll = || {
        let waker = Arc::new(Reenters(Arc::clone(&count), Arc::clone(&dropped)));
        count.poll_verdict(&Context::from_waker(&Waker::from(waker)))
    };
    assert!(poll().is_pending());
    assert!(poll().is_pending());
    assert_eq!(dropped.load(Ordering::Relaxed), 1);
    assert!(count.abandon());
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
}

#[test]
fn without_fail_fast_the_last_vote_wakes_the_task() {
    let (count, woken) = (Count::new(3, false), Arc::new(Woken::default()));
    for node in 0..3 {
        assert!(polled(&count, &woken).is_pending());
        count.vote(node, Vote::Granted);
    }
    assert_eq!(woken.0.load(Ordering::Relaxed), 1);
    assert_eq!(polled(&count, &woken), Poll::Ready(Verdict::Granted));
}

#[test]
fn a_vote_after_the_end_is_not_counted() {
    let count = Count::new(3, true);
    count.vote(0, Vote::Granted);
    assert_eq!(count.end(), Verdict::Unavailable);
    assert!(count.abandon());
    assert!(!count.vote(1, Vote::Granted));
    assert!(count.vote(2, Vote::Granted));
    assert!(!count.abandon());
    let votes = count.take_votes();
    assert!(matches!(votes[0], Some(Vote::Granted)));
    assert!(matches!(votes[1], Some(Vote::Failed(NodeError::TimedOut))));
}

#[test]
fn a_preliminary_vote_counts_if_no_final_vote_arrives() {
    let taken = || Vote::Refused { remaining: None };
    let count = Count::new(3, true);
    for node in 0..3 {
        count.expect(node, taken());
    }
    count.vote(1, Vote::Granted);
    assert_eq!(count.end(), Verdict::Refused);
    let votes = count.take_votes();
    assert!(matches!(votes[0], Some(Vote::Refused { .. })));
    assert!(matches!(votes[1], Some(Vote::Granted)));
}

#[test]
fn a_preliminary_vote_after_the_final_one_or_after_the_end_is_ignored() {
    let taken = || Vote::Refused { remaining: None };
    let count = Count::new(3, true);
    count.vote(0, Vote::Failed(NodeError::NotSent));
    count.expect(0, taken());
    assert_eq!(count.end(), Verdict::Unavailable);
    count.expect(1, taken());
    let votes = count.take_votes();
    assert!(matches!(votes[0], Some(Vote::Failed(NodeError::NotSent))));
    assert!(matches!(votes[1], Some(Vote::Failed(NodeError::TimedOut))));
}

#[test]
fn a_final_vote_replaces_the_preliminary_one_of_its_node_only() {
    let taken = || Vote::Refused { remaining: None };
    let count = Count::new(3, true);
    count.expect(0, taken());
    count.expect(1, taken());
    count.vote(1, Vote::Failed(NodeError::NotSent));
    assert_eq!(count.end(), Verdict::Unavailable);
    let votes = count.take_votes();
    assert!(matches!(votes[0], Some(Vote::Refused { .. })));
    assert!(matches!(votes[1], Some(Vote::Failed(NodeError::NotSent))));
}

const FAILED: usize = 3;

/// The vote that a digit stands for.
fn cast(kind: usize) -> Vote {
    match kind {
        0 => Vote::Granted,
        1 => Vote::Refused { remaining: None },
        2 => Vote::NotALock { name: "a".into() },
        _ => Vote::Failed(NodeError::TimedOut),
    }
}

/// The verdict of a round that has ended, and whether a key that is not a lock is its reason.
fn outcome(count: &Count, verdict: Verdict) -> (Verdict, bool) {
    let votes = count.take_votes();
    let nodes = votes.len();
    let node = |vote| NodeVote {
        address: "node".into(),
        vote,
    };
    let votes = Votes {
        name: Label::from(Arc::<str>::from("name")),
        nodes,
        votes: votes.into_iter().flatten().map(node).collect(),
        attempt: 1,
    };
    (verdict, votes.not_a_lock().is_some())
}

/// The outcome of votes that arrive in this order. If no verdict is clear after the last of them,
/// the round ends, and nodes that have not voted have failed.
fn counted(nodes: usize, votes: &[usize], fail_fast: bool) -> (Verdict, bool) {
    let (count, woken) = (Count::new(nodes, fail_fast), Arc::default());
    for (node, vote) in votes.iter().enumerate() {
        count.vote(node, cast(*vote));
        if let Poll::Ready(verdict) = polled(&count, &woken) {
            return outcome(&count, verdict);
        }
    }
    let verdict = count.end();
    outcome(&count, verdict)
}

#[test]
fn a_verdict_does_not_depend_on_the_order_of_the_votes() {
    const KINDS: usize = FAILED + 1;
    for nodes in 1..=6u32 {
        for number in 0..KINDS.pow(nodes) {
            let digit = |place| number / KINDS.pow(place) % KINDS;
            let votes: Vec<_> = (0..nodes).map(digit).collect();
            let nodes = votes.len();
            let mut sorted = votes.clone();
            sorted.sort_unstable();
            let end = counted(nodes, &sorted, false);
            // With `fail_fast`, votes after an early verdict do not change it either.
            for fail_fast in [true, false] {
                assert_eq!(counted(nodes, &votes, fail_fast), end, "{votes:?}");
            }
            let last = votes.iter().rposition(|vote| *vote < FAILED);
            let voted = last.map_or(0, |last| last + 1);
            assert_eq!(counted(nodes, &votes[..voted], true), end, "{votes:?}");
        }
    }
}
