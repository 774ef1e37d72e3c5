//! The check of a history against all rules.

use std::{collections::HashSet, fmt, time::Duration};

use super::{
    End, Event, What, beliefs,
    calls::{Course, calls},
    guards,
    intervals::Intervals,
    keys::{self, Owners, spans, supposed},
    nodes::Health,
    waits::Sweep,
};

/// What has to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Rule {
    /// The events of a call are in an order that is possible.
    Record,
    /// What a client checks itself holds, and no client panics. This is not checked here: a run
    /// reports it.
    Client,
    /// Beliefs in a key are disjoint, unless both are shared. A semaphore has at most as many
    /// holders as permits. So nobody intrudes while somebody believes, however often it extends its
    /// lock.
    Overlap,
    /// Nobody is granted a key before the end of the [minimum hold](What::Minimum) of an earlier
    /// holder, unless both are shared, or the lock was [left](End::Left).
    Minimum,
    /// The tokens of a key are unique, and that of a later holder is larger.
    Token,
    /// No extension succeeds that was called for after the end of the validity.
    Revived,
    /// No waiter waits while a majority of nodes is well and would grant it what it wants, for
    /// longer than [`Expected::idle`] without a break.
    ///
    /// A waiter behind others of its process waits for them. So all waiters of the process that are
    /// connected with it by the keys that they want have to be in the same position, and none of
    /// them may [stand](What::Stands) still. An attempt of another client, for the time for which
    /// it has keys on a node, ends the time in question.
    IdleLock,
    /// No call takes longer than [`Expected::wait`], or [`Expected::poller_wait`] if its process
    /// only [polls](What::Polls). Only that time counts in which a majority of nodes was well.
    EndlessWait,
    /// A guard that is kept alive is not lost if a majority of nodes was well for
    /// [`Expected::keep`] without a break, in the last expiry before the end of its validity and
    /// after it was first kept alive. Only nodes count that had its keys all the time: if a
    /// majority is to extend a lock, it must have it. (Without a record of the nodes, these are the
    /// nodes that were well from the beginning of the call on, up to their next fault.) Guards of a
    /// process that stood still in this time do not count.
    LostGuard,
    /// A node keeps no key for longer than [`Expected::stale`] after its client was done with it,
    /// or after the end of its [minimum hold](What::Minimum), provided that the node was well for
    /// this time, and for an expiry before, and that the process was not killed, and neither it nor
    /// a call of it, to which the lock may have been handed over, stood still. Keys that were left
    /// to expire do not count.
    StaleKey,
    /// Every key that was ever asked for is granted within [`Expected::healed`] after
    /// [`Healed`](What::Healed), if there is this event.
    NotHealed,
}

/// What a run can expect of its clients and nodes.
#[derive(Clone, Copy, Debug)]
pub struct Expected {
    /// The number of nodes.
    pub nodes: u32,
    /// The expiry of all locks.
    pub expiry: Duration,
    /// See [`Rule::IdleLock`].
    pub idle: Duration,
    /// See [`Rule::EndlessWait`].
    pub wait: Duration,
    /// See [`Rule::EndlessWait`].
    pub poller_wait: Duration,
    /// See [`Rule::LostGuard`].
    pub keep: Duration,
    /// See [`Rule::StaleKey`].
    pub stale: Duration,
    /// See [`Rule::NotHealed`].
    pub healed: Duration,
}

/// A rule that did not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// The rule.
    pub rule: Rule,
    /// When that was clear, by the history's clock.
    pub at: u64,
    /// What happened.
    pub text: String,
}

impl Wrong {
    pub(super) const fn new(rule: Rule, at: u64, text: String) -> Self {
        Self { rule, at, text }
    }
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}: {}", self.rule, self.at, self.text)
    }
}

/// What the check says.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What is wrong, in the order of time.
    pub wrongs: Vec<Wrong>,
    /// Figures of the history.
    pub figures: Figures,
}

/// Figures of a history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// From the first event to the last.
    pub span: Duration,
    /// The calls.
    pub calls: usize,
    /// Those that returned a guard.
    pub grants: usize,
    /// Grants without a key of their own: of locks that were handed over, as far as the nodes
    /// record keys.
    pub hand_overs: usize,
    /// Guards that said that they are lost.
    pub lost: usize,
    /// The faults of nodes.
    pub faults: usize,
    /// The longest wait, counted as for [`Rule::EndlessWait`], of a process that does not only
    /// poll.
    pub longest_wait: Duration,
    /// The longest time that counts for [`Rule::IdleLock`].
    pub longest_idle: Duration,
}

impl Figures {
    /// The sum of both, and the longer of their longest times.
    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self {
            span: self.span + other.span,
            calls: self.calls + other.calls,
            grants: self.grants + other.grants,
            hand_overs: self.hand_overs + other.hand_overs,
            lost: self.lost + other.lost,
            faults: self.faults + other.faults,
            longest_wait: self.longest_wait.max(other.longest_wait),
            longest_idle: self.longest_idle.max(other.longest_idle),
        }
    }
}

/// Checks a history, whose events are in the order of time.
#[must_use]
pub fn check(events: &[Event], expected: &Expected) -> Verdict {
    let courses = match calls(events) {
        Ok(courses) => courses,
        Err(text) => {
            return Verdict {
                wrongs: vec![Wrong::new(Rule::Record, 0, text)],
                figures: Figures::default(),
            };
        }
    };
    let health = Health::new(events, expected.nodes);
    let mut wrongs = beliefs::check(&courses);

    let recorded = spans(events);
    let owners = Owners::find(&courses, &recorded, expected);
    wrongs.extend(keys::check(events, &recorded, &owners, &health, expected));
    let supposed = if recorded.is_empty() {
        supposed(&courses, expected)
    } else {
        Vec::new()
    };
    let kept = recorded.iter().chain(&supposed).collect();
    let (longest_idle, idle) = Sweep::new(&courses, expected).run(events, kept);
    wrongs.extend(idle);

    let (longest_wait, endless) = endless(&courses, events, health.majority(), expected);
    wrongs.extend(endless);
    wrongs.extend(guards::check(
        &courses, events, &recorded, &owners, &health, expected,
    ));
    wrongs.extend(not_healed(&courses, events, expected));
    wrongs.sort_by_key(|wrong| wrong.at);

    let beliefs = || courses.iter().filter_map(|course| course.belief.as_ref());
    let begin = events.first().map_or(0, |event| event.at);
    let end = events.last().map_or(0, |event| event.at);
    let is_fault = |event: &&Event| matches!(event.what, What::Ill { .. });
    Verdict {
        wrongs,
        figures: Figures {
            span: Duration::from_nanos(end - begin),
            calls: courses.len(),
            grants: beliefs().count(),
            hand_overs: owners.hand_overs(),
            lost: beliefs()
                .filter(|belief| belief.end == Some(End::Lost))
                .count(),
            faults: events.iter().filter(is_fault).count(),
            longest_wait: Duration::from_nanos(longest_wait),
            longest_idle: Duration::from_nanos(longest_idle),
        },
    }
}

/// Also returns the longest wait of a process that does not only poll.
fn endless(
    courses: &[Course],
    events: &[Event],
    majority: &Intervals,
    expected: &Expected,
) -> (u64, Vec<Wrong>) {
    let pollers = events.iter().filter_map(|event| match event.what {
        What::Polls { process } => Some(process),
        _ => None,
    });
    let pollers: HashSet<u32> = pollers.collect();
    let (mut longest, mut wrongs) = (0, Vec::new());
    for course in courses {
        let (since, until) = (course.since, course.waited_until);
        let waited = majority.time_within(since, until);
        let limit = if pollers.contains(&course.call.process) {
            expected.poller_wait
        } else {
            longest = waited.max(longest);
            expected.wait
        };
        if waited > limit.as_nanos() as u64 {
            let text = format!("{} waited from {since} to {until}", course.call);
            wrongs.push(Wrong::new(Rule::EndlessWait, until, text));
        }
    }
    (longest, wrongs)
}

fn not_healed(courses: &[Course], events: &[Event], expected: &Expected) -> Option<Wrong> {
    let healed = events.iter().find(|event| event.what == What::Healed)?.at;
    let limit = healed + expected.healed.as_nanos() as u64;
    let is_granted = |key| {
        courses.iter().any(|course| {
            let granted = course.belief.as_ref().map(|belief| belief.from);
            granted.is_some_and(|at| (healed..=limit).contains(&at)) && course.held().contains(key)
        })
    };
    let mut keys: Vec<_> = (courses.iter())
        .flat_map(|course| course.wants.keys())
        .collect();
    keys.sort_unstable();
    keys.dedup();
    let missing = keys.into_iter().find(|key| !is_granted(key))?;
    let text = format!("{missing} was not granted again");
    Some(Wrong::new(Rule::NotHealed, limit, text))
}
