//! The calls of a history: how long each waited, and what came of it.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{Call, End, Event, Wants, What};

/// A call.
#[derive(Clone, Debug)]
pub(super) struct Course {
    pub(super) call: Call,
    pub(super) wants: Wants,
    pub(super) since: u64,
    /// When it was granted or given up.
    pub(super) waited_until: u64,
    /// Whether it was still waiting at the end of the history.
    pub(super) is_open: bool,
    /// Whether its process was killed before it was over.
    pub(super) is_killed: bool,
    pub(super) belief: Option<Belief>,
}

/// That a client believed that it held a lock.
#[derive(Clone, Debug)]
pub(super) struct Belief {
    pub(super) from: u64,
    /// The place of its beginning among all events. Several may begin at the same instant.
    pub(super) place: usize,
    /// The earlier of the end of its validity and of the client's own end.
    pub(super) to: u64,
    /// The end of its validity.
    pub(super) until: u64,
    pub(super) token: Option<u64>,
    pub(super) permit: Option<Arc<str>>,
    pub(super) resumes: Option<Call>,
    pub(super) kept_since: Option<u64>,
    /// The end of its minimum hold.
    pub(super) minimum: Option<u64>,
    /// When the client was done with it.
    pub(super) ended: u64,
    /// How it ended; [`None`] if its process was killed, or the history ends before.
    pub(super) end: Option<End>,
    /// An extension that was called for after the end of the validity, and succeeded.
    pub(super) revived: Option<u64>,
}

/// Finds the calls, in the order of their beginnings.
///
/// # Errors
///
/// What is wrong with the record.
pub(super) fn calls(events: &[Event]) -> Result<Vec<Course>, String> {
    let end = events.last().map_or(0, |event| event.at);
    let mut courses: Vec<Course> = Vec::new();
    let mut places: HashMap<Call, usize> = HashMap::new();
    // Those that wait or hold.
    let mut alive: BTreeMap<Call, usize> = BTreeMap::new();
    for (number, Event { at, what }) in events.iter().enumerate() {
        let at = *at;
        let call = match what {
            What::Waits { call, wants } => {
                if places.insert(*call, courses.len()).is_some() {
                    return Err(format!("{call} begins twice"));
                }
                alive.insert(*call, courses.len());
                courses.push(Course {
                    call: *call,
                    wants: wants.clone(),
                    since: at,
                    waited_until: end,
                    is_open: true,
                    is_killed: false,
                    belief: None,
                });
                continue;
            }
            What::Killed { process } => {
                let first = |process| Call { process, number: 0 };
                let killed = alive.range(first(*process)..first(process + 1));
                let killed: Vec<_> = killed.map(|(call, place)| (*call, *place)).collect();
                for (call, place) in killed {
                    alive.remove(&call);
                    courses[place].stop(at);
                    courses[place].is_killed = true;
                }
                continue;
            }
            What::Leaves { call }
            | What::Holds { call, .. }
            | What::Minimum { call, .. }
            | What::Keeps { call }
            | What::Extends { call, .. }
            | What::Ends { call, .. } => *call,
            _ => continue,
        };
        let Some(place) = alive.get(&call) else {
            return Err(format!("{call} goes on although it is over: {what:?}"));
        };
        let course = &mut courses[*place];
        if matches!(what, What::Leaves { .. } | What::Ends { .. }) {
            alive.remove(&call);
        }
        course
            .follow(at, number, what)
            .ok_or_else(|| format!("{call} cannot do that: {what:?}"))?;
    }
    for (_, place) in alive {
        let is_waiting = courses[place].belief.is_none();
        courses[place].stop(end);
        courses[place].is_open = is_waiting;
    }
    Ok(courses)
}

impl Course {
    /// Follows an event of the call. [`None`] if it cannot happen now.
    fn follow(&mut self, at: u64, place: usize, what: &What) -> Option<()> {
        match (what, &mut self.belief) {
            (What::Leaves { .. }, None) => self.waits_no_longer(at),
            (
                What::Holds {
                    until,
                    token,
                    permit,
                    resumes,
                    ..
                },
                None,
            ) => {
                self.waits_no_longer(at);
                self.belief = Some(Belief {
                    from: at,
                    place,
                    to: at,
                    until: *until,
                    token: *token,
                    permit: permit.clone(),
                    resumes: *resumes,
                    kept_since: None,
                    minimum: None,
                    ended: at,
                    end: None,
                    revived: None,
                });
            }
            (What::Minimum { until, .. }, Some(belief)) => belief.minimum = Some(*until),
            (What::Keeps { .. }, Some(belief)) => {
                belief.kept_since.get_or_insert(at);
            }
            (What::Extends { since, until, .. }, Some(belief)) => {
                if belief.kept_since.is_none() && *since > belief.until {
                    belief.revived = Some(*since);
                }
                belief.until = belief.until.max(*until);
            }
            (What::Ends { until, end, .. }, Some(belief)) => {
                belief.until = belief.until.max(*until);
                belief.end_at(at);
                belief.end = Some(*end);
            }
            _ => return None,
        }
        Some(())
    }

    /// Ends a call whose process was killed, or with which the history ends.
    fn stop(&mut self, at: u64) {
        match &mut self.belief {
            Some(belief) => belief.end_at(at),
            None => self.waits_no_longer(at),
        }
    }

    const fn waits_no_longer(&mut self, at: u64) {
        self.waited_until = at;
        self.is_open = false;
    }
}

impl Belief {
    fn end_at(&mut self, at: u64) {
        self.ended = at;
        self.to = at.min(self.until).max(self.from);
    }

    /// The end of its minimum hold, up to which nobody else gets it. A lock that was left belongs
    /// to whoever resumes it.
    pub(super) fn kept_until(&self) -> Option<u64> {
        self.minimum.filter(|_| self.end != Some(End::Left))
    }

    /// When its keys are of no use any longer.
    pub(super) fn used_until(&self) -> u64 {
        self.ended.max(self.kept_until().unwrap_or_default())
    }

    /// Whether it was true when it was recorded. A process that stood still may have recorded it
    /// too late.
    pub(super) const fn was_valid(&self) -> bool {
        self.from < self.until
    }
}

impl Course {
    /// The keys that it holds.
    pub(super) fn held(&self) -> &[Arc<str>] {
        let permit = self
            .belief
            .as_ref()
            .and_then(|belief| belief.permit.as_ref());
        match (&self.wants, permit) {
            (_, Some(permit)) => std::slice::from_ref(permit),
            (wants, None) => wants.keys(),
        }
    }
}
