//! The tally: the arithmetic of votes.
//!
//! Pure, without I/O or a clock, so that every decision can be tested and model-checked as it is.

use super::{majority, votes::Vote};

/// The outcome of a round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(test, derive(Hash))]
pub(crate) enum Verdict {
    /// A quorum granted.
    Granted,
    /// No quorum can grant, because too many nodes refused.
    Refused,
    /// A quorum answered, but was divided: nodes that failed could have decided either way.
    Divided,
    /// No quorum answered.
    Unavailable,
}

/// Counts the votes of one round, each node at most once.
#[derive(Clone, Copy, Debug)]
#[cfg_attr(test, derive(PartialEq, Eq, Hash))]
pub(crate) struct Tally {
    nodes: usize,
    granted: usize,
    refused: usize,
    /// How many of those that refused have a key that is not a lock.
    foreign: usize,
    failed: usize,
}

impl Tally {
    pub(crate) const fn new(nodes: usize) -> Self {
        Self {
            nodes,
            granted: 0,
            refused: 0,
            foreign: 0,
            failed: 0,
        }
    }

    pub(crate) const fn count(&mut self, vote: &Vote) {
        match vote {
            Vote::Granted => self.granted += 1,
            Vote::Refused { .. } | Vote::Missing => self.refused += 1,
            Vote::NotALock { .. } => {
                self.refused += 1;
                self.foreign += 1;
            }
            Vote::Failed(_) => self.failed += 1,
        }
    }

    const fn outstanding(&self) -> usize {
        self.nodes - self.granted - self.refused - self.failed
    }

    /// How many nodes have to refuse or fail to put a quorum out of reach.
    const fn blocking(&self) -> usize {
        self.nodes - majority(self.nodes) + 1
    }

    /// Returns the verdict, as soon as no outstanding vote can change it.
    ///
    /// It may be known that no quorum can grant before the reason is known: contention, because
    /// nodes refuse, or an outage, because too few nodes answer. The difference matters to a caller
    /// (come back later, or page someone). So there is no verdict while outstanding votes can
    /// decide this. It also matters whether the nodes that refuse have another holder, or a key
    /// that is not a lock.
    ///
    /// Of an even number of nodes, each half can give another reason. Then another holder comes
    /// before a key that is not a lock, and both come before an outage.
    pub(crate) const fn verdict(&self) -> Option<Verdict> {
        let (quorum, blocking) = (majority(self.nodes), self.blocking());
        let open = self.outstanding();
        let may_be_refused = self.refused + open >= blocking;
        let a_divided_quorum_answers = self.granted + self.refused >= quorum
            && self.granted + open < quorum
            && !may_be_refused;
        if self.granted >= quorum {
            Some(Verdict::Granted)
        } else if self.refused >= blocking {
            if self.is_clear_what_is_there() {
                Some(Verdict::Refused)
            } else {
                None
            }
        } else if a_divided_quorum_answers {
            Some(Verdict::Divided)
        } else if self.failed >= blocking && !may_be_refused {
            Some(Verdict::Unavailable)
        } else {
            None
        }
    }

    /// Whether no outstanding vote can change [what the nodes
    /// have](super::votes::Votes::not_a_lock) that refuse: another holder, or a key that is not a
    /// lock.
    const fn is_clear_what_is_there(&self) -> bool {
        let (blocking, open) = (self.blocking(), self.outstanding());
        let taken = self.refused - self.foreign;
        let is_taken = taken >= blocking || self.foreign + open < blocking;
        is_taken || self.foreign >= blocking && taken + open < blocking
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn tally(nodes: usize, granted: usize, refused: usize, failed: usize) -> Tally {
        Tally {
            nodes,
            granted,
            refused,
            foreign: 0,
            failed,
        }
    }

    #[test]
    fn keys_that_are_not_locks_are_told_apart_from_contention() {
        let foreign = |nodes, refused, foreign| Tally {
            foreign,
            ..tally(nodes, 0, refused, 0)
        };
        // One of three nodes has another holder, and one a key that is not a lock: the third
        // decides whether a person has to act.
        assert_eq!(foreign(3, 2, 1).verdict(), None);
        assert_eq!(foreign(3, 2, 2).verdict(), Some(Verdict::Refused));
        assert_eq!(foreign(3, 3, 1).verdict(), Some(Verdict::Refused));
        assert_eq!(foreign(5, 3, 1).verdict(), None);
        assert_eq!(foreign(5, 4, 1).verdict(), Some(Verdict::Refused));
    }

    #[test]
    fn two_quorums_always_share_a_node() {
        for nodes in 1..=9 {
            assert!(2 * majority(nodes) > nodes);
            assert!(
                2 * (majority(nodes) - 1) <= nodes,
                "and no smaller set does"
            );
        }
    }

    #[test]
    fn the_verdict_of_every_count_of_up_to_seven_nodes() {
        for nodes in 1..=7 {
            for granted in 0..=nodes {
                for refused in 0..=nodes - granted {
                    for failed in 0..=nodes - granted - refused {
                        let tally = tally(nodes, granted, refused, failed);
                        let open = tally.outstanding();
                        let answered = granted + refused;
                        match tally.verdict() {
                            Some(Verdict::Granted) => assert!(granted >= majority(nodes)),
                            Some(Verdict::Refused) => {
                                assert!(nodes - refused < majority(nodes));
                            }
                            Some(Verdict::Divided) => {
                                assert!(granted + open < majority(nodes), "a quorum could form");
                                assert!(failed > 0, "no node has failed");
                                assert!(answered >= majority(nodes), "no quorum has answered");
                            }
                            Some(Verdict::Unavailable) => {
                                assert!(
                                    answered + open < majority(nodes),
                                    "a quorum could still answer"
                                );
                            }
                            None => assert!(open > 0, "undecided though all have voted"),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_dead_node_does_not_turn_contention_into_an_outage() {
        // One of three nodes is dead, and one says taken: the third decides between contention and
        // outage.
        assert_eq!(tally(3, 0, 1, 1).verdict(), None);
        assert_eq!(tally(3, 0, 2, 1).verdict(), Some(Verdict::Refused));
        assert_eq!(tally(3, 1, 1, 1).verdict(), Some(Verdict::Divided));
        assert_eq!(tally(3, 0, 0, 2).verdict(), Some(Verdict::Unavailable));
    }

    #[test]
    fn each_vote_counts_once() {
        let mut tally = Tally::new(5);
        for vote in [
            Vote::Granted,
            Vote::Missing,
            Vote::Refused { remaining: None },
            Vote::NotALock { name: "a".into() },
            Vote::Failed(crate::NodeError::TimedOut),
        ] {
            tally.count(&vote);
        }
        let Tally {
            granted,
            refused,
            foreign,
            failed,
            ..
        } = tally;
        assert_eq!([granted, refused, foreign, failed], [1, 3, 1, 1]);
        assert_eq!(tally.outstanding(), 0);
    }

    /// The verdict, and whether a key that is not a lock is its reason.
    fn outcome(tally: &Tally) -> Option<(Verdict, bool)> {
        let blocking = tally.blocking();
        let is_foreign = tally.foreign >= blocking && tally.refused - tally.foreign < blocking;
        tally.verdict().map(|verdict| (verdict, is_foreign))
    }

    /// All tallies to which this one can lead, when this many more nodes have voted.
    fn after(tally: &Tally, more: usize) -> Vec<Tally> {
        if more == 0 {
            return vec![*tally];
        }
        let kinds = [
            Vote::Granted,
            Vote::Missing,
            Vote::NotALock { name: "a".into() },
            Vote::Failed(crate::NodeError::TimedOut),
        ];
        let next = kinds.map(|vote| {
            let mut next = *tally;
            next.count(&vote);
            next
        });
        let all: HashSet<_> = next.iter().flat_map(|next| after(next, more - 1)).collect();
        all.into_iter().collect()
    }

    #[test]
    fn votes_that_are_outstanding_keep_a_verdict_open_only_if_they_can_change_it() {
        for nodes in 1..=6 {
            for voted in 0..=nodes {
                for present in after(&Tally::new(nodes), voted) {
                    let ends: HashSet<_> = (after(&present, nodes - voted).iter())
                        .map(|end| outcome(end).expect("all have voted"))
                        .collect();
                    let clear = ends.iter().next().filter(|_| ends.len() == 1);
                    assert_eq!(outcome(&present), clear.copied(), "{present:?}");
                }
            }
        }
    }
}
