//! One round: the same question to every node, and the count of the answers.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use smallvec::SmallVec;

use super::{
    USUAL_NODES,
    tally::{Tally, Verdict},
    votes::Vote,
};
use crate::node::NodeError;

/// The votes of one round, by node: [`None`] where the verdict did not need the vote.
pub(crate) type Ballot = SmallVec<[Option<Vote>; USUAL_NODES]>;

/// What a round came to.
pub(crate) struct Outcome {
    pub(crate) verdict: Verdict,
    pub(crate) votes: Ballot,
}

/// The count of one round.
///
/// Votes are counted wherever they arrive, on any thread. The task that waits for the verdict is
/// woken once: by the vote that decides.
pub(crate) struct Round {
    state: Mutex<State>,
    /// Whether the verdict is given as soon as it is clear, rather than when all nodes have voted.
    fail_fast: bool,
}

struct State {
    tally: Tally,
    votes: Ballot,
    /// How many nodes have not voted. It goes on when the round has ended.
    outstanding: usize,
    has_ended: bool,
    waker: Option<Waker>,
    /// The votes of nodes that have said enough for one, and are asked for more.
    expected: Vec<(usize, Vote)>,
}

impl Round {
    pub(crate) fn new(nodes: usize, fail_fast: bool) -> Self {
        Self {
            state: Mutex::new(State {
                tally: Tally::new(nodes),
                votes: (0..nodes).map(|_| None).collect(),
                outstanding: nodes,
                has_ended: false,
                waker: None,
                expected: Vec::new(),
            }),
            fail_fast,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in here panics between two changes that belong together.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts the vote of a node, and says whether it was the last that was outstanding.
    pub(crate) fn vote(&self, node: usize, vote: Vote) -> bool {
        let mut state = self.state();
        state.outstanding -= 1;
        let is_last = state.outstanding == 0;
        if state.has_ended {
            return is_last;
        }
        debug_assert!(state.votes[node].is_none(), "a node has one vote");
        state.tally.count(&vote);
        state.votes[node] = Some(vote);
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

    /// The vote of a node if nothing more comes from it in time.
    pub(crate) fn expect(&self, node: usize, vote: Vote) {
        self.state().expected.push((node, vote));
    }

    fn verdict(&self, state: &State) -> Option<Verdict> {
        if self.fail_fast || state.outstanding == 0 {
            state.tally.verdict()
        } else {
            None
        }
    }

    /// The outcome, once it is clear. It is given once.
    pub(crate) fn poll_outcome(&self, cx: &mut Context<'_>) -> Poll<Outcome> {
        let mut state = self.state();
        match self.verdict(&state) {
            Some(verdict) => Poll::Ready(state.end(verdict)),
            None => {
                match &mut state.waker {
                    Some(waker) => waker.clone_from(cx.waker()),
                    waker @ None => *waker = Some(cx.waker().clone()),
                }
                Poll::Pending
            }
        }
    }

    /// The outcome when the time is over: no vote that comes later counts.
    pub(crate) fn end(&self) -> Outcome {
        let mut state = self.state();
        let State {
            tally,
            votes,
            expected,
            ..
        } = &mut *state;
        for (node, vote) in expected.drain(..) {
            if votes[node].is_none() {
                tally.count(votes[node].insert(vote));
            }
        }
        for vote in votes.iter_mut().filter(|vote| vote.is_none()) {
            tally.count(vote.insert(Vote::Failed(NodeError::TimedOut)));
        }
        let verdict = tally.verdict().expect("all nodes have voted");
        state.end(verdict)
    }

    /// Ends the round without an outcome, because nobody waits for it any longer. Says whether votes
    /// are outstanding.
    pub(crate) fn abandon(&self) -> bool {
        let mut state = self.state();
        state.has_ended = true;
        state.waker = None;
        state.outstanding > 0
    }
}

impl State {
    fn end(&mut self, verdict: Verdict) -> Outcome {
        self.has_ended = true;
        self.waker = None;
        Outcome {
            verdict,
            votes: mem::take(&mut self.votes),
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

    use super::*;

    #[derive(Default)]
    struct Woken(AtomicUsize);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn polled(round: &Round, woken: &Arc<Woken>) -> Poll<Verdict> {
        let waker = Waker::from(Arc::clone(woken));
        round
            .poll_outcome(&mut Context::from_waker(&waker))
            .map(|outcome| outcome.verdict)
    }

    #[test]
    fn the_vote_that_decides_wakes_once() {
        let (round, woken) = (Round::new(5, true), Arc::new(Woken::default()));
        assert!(polled(&round, &woken).is_pending());
        for node in 0..2 {
            assert!(!round.vote(node, Vote::Granted));
            assert_eq!(woken.0.load(Ordering::Relaxed), 0);
        }
        for node in 2..5 {
            assert_eq!(round.vote(node, Vote::Granted), node == 4);
            assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        }
        assert_eq!(polled(&round, &woken), Poll::Ready(Verdict::Granted));
    }

    #[test]
    fn without_fail_fast_the_last_vote_wakes() {
        let (round, woken) = (Round::new(3, false), Arc::new(Woken::default()));
        for node in 0..3 {
            assert!(polled(&round, &woken).is_pending());
            round.vote(node, Vote::Granted);
        }
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        assert_eq!(polled(&round, &woken), Poll::Ready(Verdict::Granted));
    }

    #[test]
    fn a_vote_after_the_end_is_not_counted() {
        let round = Round::new(3, true);
        round.vote(0, Vote::Granted);
        let outcome = round.end();
        assert_eq!(outcome.verdict, Verdict::Unknown);
        assert!(matches!(outcome.votes[1], Some(Vote::Failed(_))));
        assert!(round.abandon());
        assert!(!round.vote(1, Vote::Granted));
        assert!(round.vote(2, Vote::Granted));
        assert!(!round.abandon());
    }
}
