//! The condition of a node, as its answers show it: whether it works, and what the log has said
//! about it.
//!
//! Each problem is reported once when it begins. It is over when the node does again what it had
//! failed to do, and has not failed for a moment: of the commands that were under way together,
//! some may succeed while others fail. A node may have several problems: a user who may not extend
//! locks is no reason to be silent about an outage.

use std::{
    mem::{self, Discriminant},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    node::{NodeError, Operation},
    sync::Mutex,
};

/// A node works again when it has not failed for this long.
const QUIET: Duration = Duration::from_secs(1);

/// A node that has left all questions unanswered for this long is reported, before the time of any
/// of them is over.
const SILENCE: Duration = Duration::from_secs(1);

pub(super) struct Condition {
    /// Whether there is a problem. So an answer of a node that works does not lock the mutex.
    has_problem: AtomicBool,
    problems: Mutex<Vec<Problem>>,
    made_at: Instant,
    /// When the first question was asked since the node has last answered, in milliseconds after
    /// `made_at`; `ANSWERED` if there was none.
    asked_at: AtomicU64,
}

const ANSWERED: u64 = u64::MAX;

/// Failures of one kind, which have one report.
struct Problem {
    kind: Kind,
    reason: String,
    since: Instant,
    last: Instant,
    failures: u64,
    /// What has failed last.
    operation: Operation,
}

/// Problems that are over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Over {
    pub(super) lasted: Duration,
    pub(super) failures: u64,
    /// The reasons that were reported.
    pub(super) reason: String,
}

#[derive(PartialEq, Eq)]
enum Kind {
    /// The node does not answer. A single outage shows in several ways.
    Away,
    Other(Discriminant<NodeError>, Option<Box<str>>),
}

impl Condition {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            has_problem: AtomicBool::new(false),
            problems: Mutex::default(),
            made_at: now,
            asked_at: AtomicU64::new(ANSWERED),
        }
    }

    fn millis(&self, at: Instant) -> u64 {
        at.saturating_duration_since(self.made_at).as_millis() as u64
    }

    /// Notes a question. Returns whether the node has been silent for so long that this is a
    /// failure.
    pub(super) fn asked(&self, now: Instant) -> bool {
        // Relaxed, here and below: it is only a time, and a report may be a moment late.
        match self.asked_at.load(Ordering::Relaxed) {
            ANSWERED => {
                self.asked_at.store(self.millis(now), Ordering::Relaxed);
                false
            }
            asked_at => self.millis(now).saturating_sub(asked_at) > SILENCE.as_millis() as u64,
        }
    }

    /// Notes that the node, or the connection to it, has answered a question.
    pub(super) fn answered(&self) {
        if self.asked_at.load(Ordering::Relaxed) != ANSWERED {
            self.asked_at.store(ANSWERED, Ordering::Relaxed);
        }
    }

    /// Whether the node has answered nothing since an instant.
    pub(super) fn is_silent_since(&self, since: Instant) -> bool {
        self.asked_at.load(Ordering::Relaxed) <= self.millis(since)
    }

    /// Notes a failure. Returns whether it is to be reported.
    pub(super) fn failed(&self, operation: Operation, error: &NodeError, now: Instant) -> bool {
        let Some(kind) = Kind::of(error) else {
            return false;
        };
        let mut problems = self.problems.lock();
        // Relaxed, here and below: it is only a hint, and `works` locks before it relies on
        // anything.
        self.has_problem.store(true, Ordering::Relaxed);
        let known = problems.iter_mut().find(|problem| problem.kind == kind);
        if let Some(problem) = known {
            problem.last = now;
            problem.failures += 1;
            problem.operation = operation;
            return false;
        }
        problems.push(Problem {
            kind,
            reason: error.to_string(),
            since: now,
            last: now,
            failures: 1,
            operation,
        });
        true
    }

    /// Whether a success has to be noted.
    pub(super) fn has_problem(&self) -> bool {
        self.has_problem.load(Ordering::Relaxed)
    }

    /// Notes a success. Returns the problems that are over by it, if there were any.
    pub(super) fn works(&self, operation: Operation, now: Instant) -> Option<Over> {
        let mut problems = self.problems.lock();
        let is_over = |problem: &mut Problem| problem.is_over(operation, now);
        let over: Vec<_> = problems.extract_if(.., is_over).collect();
        self.has_problem
            .store(!problems.is_empty(), Ordering::Relaxed);
        let first = over.iter().map(|problem| problem.since).min()?;
        let reasons: Vec<_> = over.iter().map(|problem| &*problem.reason).collect();
        Some(Over {
            lasted: now.saturating_duration_since(first),
            failures: over.iter().map(|problem| problem.failures).sum(),
            reason: reasons.join("; "),
        })
    }
}

impl Problem {
    /// Whether the problem is over when this operation has succeeded.
    fn is_over(&self, succeeded: Operation, now: Instant) -> bool {
        let does_it_again = match self.kind.extent() {
            Extent::Everything => true,
            Extent::Writes => succeeded == Operation::Acquire,
            Extent::Operation => false,
        };
        (does_it_again || succeeded.name() == self.operation.name())
            && now.saturating_duration_since(self.last) >= QUIET
    }
}

/// What a node does not do while it has a problem.
enum Extent {
    Everything,
    /// All that changes a key. Some operations have nothing to change, and succeed.
    Writes,
    /// An operation: a user may lack the permission for scripts, and a full server still releases.
    Operation,
}

impl Kind {
    fn of(error: &NodeError) -> Option<Self> {
        match error {
            NodeError::NotSent => None,
            NodeError::TimedOut
            | NodeError::Unreachable(_)
            | NodeError::Disconnected(_)
            | NodeError::Overloaded => Some(Self::Away),
            NodeError::Refused { code, .. } => {
                Some(Self::Other(mem::discriminant(error), Some(code.clone())))
            }
            other => Some(Self::Other(mem::discriminant(other), None)),
        }
    }

    fn extent(&self) -> Extent {
        let Self::Other(_, code) = self else {
            return Extent::Everything;
        };
        match code.as_deref() {
            Some(
                "LOADING" | "BUSY" | "MASTERDOWN" | "CLUSTERDOWN" | "TRYAGAIN" | "NOAUTH"
                | "WRONGPASS",
            ) => Extent::Everything,
            Some("READONLY" | "MISCONF" | "NOREPLICAS") => Extent::Writes,
            _ => Extent::Operation,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: Duration = Duration::from_secs(2);

    #[test]
    fn an_outage_is_reported_once_and_its_end_once() {
        let (condition, start) = (Condition::new(Instant::now()), Instant::now());
        assert_eq!(condition.works(Operation::Acquire, start), None);
        assert!(!condition.has_problem());
        assert!(condition.failed(Operation::Acquire, &NodeError::TimedOut, start));
        assert!(condition.has_problem());
        for error in [NodeError::TimedOut, NodeError::Overloaded] {
            assert!(!condition.failed(Operation::Release, &error, start));
        }
        // Any success is the end of an outage, but others that were under way may still fail.
        assert_eq!(condition.works(Operation::Acquire, start), None);
        assert!(!condition.failed(Operation::Release, &NodeError::TimedOut, start));
        let over = Over {
            lasted: LATER,
            failures: 4,
            reason: NodeError::TimedOut.to_string(),
        };
        assert_eq!(
            condition.works(Operation::Acquire, start + LATER),
            Some(over)
        );
        assert!(!condition.has_problem());
        assert_eq!(condition.works(Operation::Acquire, start + LATER), None);
        assert!(condition.failed(Operation::Acquire, &NodeError::TimedOut, start + LATER));
    }

    #[test]
    fn a_node_that_answers_nothing_is_silent() {
        let start = Instant::now();
        let condition = Condition::new(start);
        assert!(!condition.is_silent_since(start));
        assert!(!condition.asked(start));
        assert!(condition.is_silent_since(start));
        assert!(condition.asked(start + LATER));
        condition.answered();
        assert!(!condition.is_silent_since(start + LATER));
        assert!(!condition.asked(start + 2 * LATER));
        // Nothing is said about a question from before the last answer.
        assert!(!condition.is_silent_since(start + LATER));
    }

    #[test]
    fn each_new_reason_is_reported() {
        let (condition, now) = (Condition::new(Instant::now()), Instant::now());
        let failed = |error: &NodeError| condition.failed(Operation::Acquire, error, now);
        assert!(failed(&NodeError::TimedOut));
        assert!(failed(&NodeError::refused("LOADING", "")));
        assert!(!failed(&NodeError::TimedOut));
        assert!(failed(&NodeError::refused("WRONGPASS", "")));
        assert!(!failed(&NodeError::refused("LOADING", "")));
    }

    #[test]
    fn a_lack_of_permission_is_over_when_the_same_operation_succeeds() {
        let (condition, start) = (Condition::new(Instant::now()), Instant::now());
        let error = NodeError::refused("NOPERM", "");
        assert!(condition.failed(Operation::Release, &error, start));
        assert_eq!(condition.works(Operation::Acquire, start + LATER), None);
        assert!(!condition.failed(Operation::Release, &error, start + LATER));
        assert!(
            condition
                .works(Operation::Release, start + 2 * LATER)
                .is_some()
        );
    }

    /// A user may lack a permission for years, in which the node goes down and comes back.
    #[test]
    fn a_problem_that_stays_hides_no_outage() {
        let (condition, start) = (Condition::new(Instant::now()), Instant::now());
        let no_permission = NodeError::refused("NOPERM", "");
        assert!(condition.failed(Operation::Extend, &no_permission, start));
        for outage in 0..3 {
            let begin = start + outage * 2 * LATER;
            assert!(condition.failed(Operation::Acquire, &NodeError::TimedOut, begin));
            let over = condition.works(Operation::Acquire, begin + LATER);
            let reason = over.map(|over| over.reason);
            assert_eq!(reason, Some(NodeError::TimedOut.to_string()));
            assert!(condition.has_problem(), "successes are still noted");
        }
        assert!(!condition.failed(Operation::Extend, &no_permission, start));
    }

    #[test]
    fn a_server_that_takes_writes_again_works_again() {
        for code in ["READONLY", "MISCONF", "NOREPLICAS"] {
            let (condition, start) = (Condition::new(Instant::now()), Instant::now());
            let error = NodeError::refused(code, "");
            assert!(condition.failed(Operation::Extend, &error, start));
            // There may have been nothing to release.
            assert_eq!(condition.works(Operation::Release, start + LATER), None);
            let over = condition.works(Operation::Acquire, start + LATER);
            assert!(over.is_some(), "{code}");
        }
    }

    #[test]
    fn a_server_that_serves_anything_again_works_again() {
        for code in [
            "LOADING",
            "BUSY",
            "MASTERDOWN",
            "CLUSTERDOWN",
            "TRYAGAIN",
            "NOAUTH",
            "WRONGPASS",
        ] {
            let (condition, start) = (Condition::new(Instant::now()), Instant::now());
            let error = NodeError::refused(code, "");
            assert!(condition.failed(Operation::Extend, &error, start));
            let over = condition.works(Operation::Release, start + LATER);
            assert!(over.is_some(), "{code}");
        }
    }

    #[test]
    fn a_question_that_was_not_sent_says_nothing_about_the_node() {
        let (condition, now) = (Condition::new(Instant::now()), Instant::now());
        assert!(!condition.failed(Operation::Acquire, &NodeError::NotSent, now));
        assert_eq!(condition.works(Operation::Acquire, now + LATER), None);
    }
}
