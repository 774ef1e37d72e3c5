//! The count of the votes of one round, while they arrive: a [tally](super::tally) that any thread
//! adds to, and that one task waits for.

use std::{
    mem,
    task::{Context, Poll, Waker},
};

use smallvec::{SmallVec, smallvec};

use super::{
    tally::{Tally, Verdict},
    votes::Vote,
};
use crate::{node::NodeError, sync::Mutex};

/// The votes of one round, by node. [`None`] if the verdict was clear before the node voted.
pub(crate) type RoundVotes = Vec<Option<Vote>>;

/// The count of the votes of one round.
///
/// A vote is counted where it arrives, on any thread. The task that waits for the verdict is woken
/// once: by the vote that decides.
pub(crate) struct Count {
    state: Mutex<State>,
    /// Whether the verdict is given as soon as it is clear, rather than when all nodes have voted.
    fail_fast: bool,
}

struct State {
    tally: Tally,
    /// How each node has voted. Every lock has a round, so this is kept small.
    cast: SmallVec<[Cast; 8]>,
    /// The votes of nodes that did not grant.
    reasons: Vec<(usize, Vote)>,
    /// How many nodes have not voted. It is still counted after the round has ended.
    outstanding: usize,
    has_ended: bool,
    waker: Option<Waker>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Cast {
    Outstanding,
    /// The node has a preliminary vote, which is among the reasons, and is asked for more.
    Expected,
    Granted,
    /// The vote is among the reasons.
    NotGranted,
}

impl Count {
    pub(crate) fn new(nodes: usize, fail_fast: bool) -> Self {
        Self {
            state: Mutex::new(State {
                tally: Tally::new(nodes),
                cast: smallvec![Cast::Outstanding; nodes],
                reasons: Vec::new(),
                outstanding: nodes,
                has_ended: false,
                waker: None,
            }),
            fail_fast,
        }
    }

    /// Counts the vote of a node. Returns whether it was the last outstanding vote.
    pub(crate) fn vote(&self, node: usize, vote: Vote) -> bool {
        let mut state = self.state.lock();
        state.outstanding -= 1;
        let is_last = state.outstanding == 0;
        if state.has_ended {
            return is_last;
        }
        state.count(node, vote);
        let woken = if self.verdict(&state).is_some() {
            state.waker.take()
        } else {
            None
        };
        drop(state);
        if let Some(waker) = woken {
            waker.wake();
        }
        is_last
    }

    /// Notes the preliminary vote of a node. It counts if no final vote arrives in time.
    pub(crate) fn expect(&self, node: usize, vote: Vote) {
        let mut state = self.state.lock();
        if !state.has_ended && state.cast[node] == Cast::Outstanding {
            state.cast[node] = Cast::Expected;
            state.reasons.push((node, vote));
        }
    }

    fn verdict(&self, state: &State) -> Option<Verdict> {
        if self.fail_fast || state.outstanding == 0 {
            state.tally.verdict()
        } else {
            None
        }
    }

    /// The verdict, once it is clear. Later votes do not count.
    pub(crate) fn poll_verdict(&self, cx: &Context<'_>) -> Poll<Verdict> {
        let mut state = self.state.lock();
        if let Some(verdict) = self.end_if_clear(&mut state) {
            return Poll::Ready(verdict);
        }
        let is_known = (state.waker.as_ref()).is_some_and(|waker| waker.will_wake(cx.waker()));
        if is_known {
            return Poll::Pending;
        }
        // A waker is foreign code: it is neither cloned nor dropped under the lock.
        drop(state);
        let waker = cx.waker().clone();
        let mut state = self.state.lock();
        let former = state.waker.replace(waker);
        // The deciding vote may have been counted in between, and found no waker.
        let verdict = self.end_if_clear(&mut state);
        drop(state);
        drop(former);
        verdict.map_or(Poll::Pending, Poll::Ready)
    }

    fn end_if_clear(&self, state: &mut State) -> Option<Verdict> {
        let verdict = self.verdict(state)?;
        state.has_ended = true;
        Some(verdict)
    }

    /// Ends the round because its time is over, and returns the verdict. Later votes do not count.
    pub(crate) fn end(&self) -> Verdict {
        let mut state = self.state.lock();
        for node in 0..state.cast.len() {
            match state.cast[node] {
                Cast::Outstanding => state.count(node, Vote::Failed(NodeError::TimedOut)),
                Cast::Expected => {
                    let expected = state.reasons.iter().position(|(other, _)| *other == node);
                    let (_, vote) = state
                        .reasons
                        .swap_remove(expected.expect("a preliminary vote"));
                    state.count(node, vote);
                }
                Cast::Granted | Cast::NotGranted => {}
            }
        }
        state.has_ended = true;
        state.tally.verdict().expect("all nodes have voted")
    }

    /// Takes the votes of a round that has ended. The reasons can be taken once.
    pub(crate) fn take_votes(&self) -> RoundVotes {
        let mut state = self.state.lock();
        let granted = |cast: &Cast| (*cast == Cast::Granted).then_some(Vote::Granted);
        let mut votes: RoundVotes = state.cast.iter().map(granted).collect();
        for (node, vote) in mem::take(&mut state.reasons) {
            if state.cast[node] == Cast::NotGranted {
                votes[node] = Some(vote);
            }
        }
        votes
    }

    /// Ends the round, because nobody waits for its verdict any longer. Returns whether votes are
    /// outstanding.
    pub(crate) fn abandon(&self) -> bool {
        let mut state = self.state.lock();
        state.has_ended = true;
        let are_outstanding = state.outstanding > 0;
        // Dropped after the mutex is unlocked, because it is foreign code.
        let waker = state.waker.take();
        drop(state);
        drop(waker);
        are_outstanding
    }
}

impl State {
    fn count(&mut self, node: usize, vote: Vote) {
        let cast = &mut self.cast[node];
        debug_assert!(
            !matches!(cast, Cast::Granted | Cast::NotGranted),
            "a node has one vote"
        );
        if *cast == Cast::Expected {
            self.reasons.retain(|(other, _)| *other != node);
        }
        self.tally.count(&vote);
        if matches!(vote, Vote::Granted) {
            *cast = Cast::Granted;
        } else {
            *cast = Cast::NotGranted;
            self.reasons.push((node, vote));
        }
    }
}

#[cfg(test)]
mod tests {
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
    use crate::printable::Label;

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

    /// The outcome of votes that arrive in this order. If no verdict is clear after the last of them, the round
    /// ends, and nodes that have not voted have failed.
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
}
