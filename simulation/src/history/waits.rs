//! Liveness: how long waiters wait, and for what.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{Call, Event, Expected, KeyMode, Rule, Wants, What, Wrong, calls::Course, keys::Span};

/// Goes through a history, and finds waiters of a name that is free.
pub(super) struct Sweep<'a> {
    courses: &'a [Course],
    keys: HashMap<&'a Arc<str>, Vec<State>>,
    faults: Vec<u32>,
    /// The waiters of each process, by their places among the courses.
    waiting: BTreeMap<u32, Vec<Waiter>>,
    stopped: HashMap<u32, u32>,
    limit: u64,
    longest: u64,
}

/// How often a node keeps a key in each mode.
#[derive(Clone, Copy, Default)]
struct State {
    exclusive: u32,
    shared: u32,
    reserved: u32,
}

struct Waiter {
    course: usize,
    /// Since when it could be served.
    chance: Option<u64>,
    stands: u32,
    is_reported: bool,
}

#[derive(Clone, Copy)]
enum Change<'a> {
    Begins(usize),
    Ends(usize),
    Kept(&'a Span, i32),
    Event(&'a What),
}

impl<'a> Sweep<'a> {
    pub(super) fn new(courses: &'a [Course], expected: &Expected) -> Self {
        Self {
            courses,
            keys: HashMap::new(),
            faults: vec![0; expected.nodes as usize],
            waiting: BTreeMap::new(),
            stopped: HashMap::new(),
            limit: expected.idle.as_nanos() as u64,
            longest: 0,
        }
    }

    /// Returns the longest time for which a waiter could have been served and was not, beside what
    /// is wrong.
    pub(super) fn run(mut self, events: &'a [Event], spans: Vec<&'a Span>) -> (u64, Vec<Wrong>) {
        let mut wrongs = Vec::new();
        let changes = changes(self.courses, events, spans);
        for changes in changes.chunk_by(|one, other| one.0 == other.0) {
            let at = changes[0].0;
            self.find(at, &mut wrongs);
            for (_, change) in changes {
                self.apply(*change);
            }
            self.note_chances(at);
        }
        (self.longest, wrongs)
    }

    fn apply(&mut self, change: Change<'a>) {
        match change {
            Change::Begins(course) => {
                let process = self.courses[course].call.process;
                self.waiting.entry(process).or_default().push(Waiter {
                    course,
                    chance: None,
                    stands: 0,
                    is_reported: false,
                });
            }
            Change::Ends(course) => {
                let process = self.courses[course].call.process;
                if let Some(waiters) = self.waiting.get_mut(&process) {
                    waiters.retain(|waiter| waiter.course != course);
                }
            }
            Change::Kept(span, by) => {
                let nodes = self.faults.len();
                let states = self.keys.entry(&span.key);
                let states = states.or_insert_with(|| vec![State::default(); nodes]);
                let state = &mut states[span.node as usize];
                let count = match span.mode {
                    KeyMode::Exclusive => &mut state.exclusive,
                    KeyMode::Shared => &mut state.shared,
                    KeyMode::Reserved => &mut state.reserved,
                };
                *count = count.saturating_add_signed(by);
            }
            Change::Event(what) => match what {
                What::Ill { node } => self.faults[*node as usize] += 1,
                What::Well { node } => {
                    let faults = &mut self.faults[*node as usize];
                    *faults = faults.saturating_sub(1);
                }
                What::Stands { call } => self.stand(*call, 1),
                What::Goes { call } => self.stand(*call, -1),
                What::Stops { process } => *self.stopped.entry(*process).or_default() += 1,
                What::Continues { process } => {
                    let stopped = self.stopped.entry(*process).or_default();
                    *stopped = stopped.saturating_sub(1);
                }
                _ => {}
            },
        }
    }

    fn stand(&mut self, call: Call, by: i32) {
        let waiters = self.waiting.get_mut(&call.process).into_iter().flatten();
        for waiter in waiters.filter(|waiter| self.courses[waiter.course].call == call) {
            waiter.stands = waiter.stands.saturating_add_signed(by);
        }
    }

    /// Finds those that could have been served for too long up to now.
    fn find(&mut self, at: u64, wrongs: &mut Vec<Wrong>) {
        for waiter in self.waiting.values_mut().flatten() {
            let Some(since) = waiter.chance else {
                continue;
            };
            self.longest = self.longest.max(at - since);
            if at - since > self.limit && !waiter.is_reported {
                waiter.is_reported = true;
                let course = &self.courses[waiter.course];
                let text = format!(
                    "{} waited for {:?}, which was free on a majority from {since} to {at}",
                    course.call,
                    course.wants.keys()
                );
                wrongs.push(Wrong::new(Rule::IdleLock, at, text));
            }
        }
    }

    fn note_chances(&mut self, at: u64) {
        let mut waiting = std::mem::take(&mut self.waiting);
        for (process, waiters) in &mut waiting {
            let is_stopped = self.stopped.get(process).is_some_and(|count| *count > 0);
            let can: Vec<bool> = (waiters.iter())
                .map(|waiter| {
                    let wants = &self.courses[waiter.course].wants;
                    !is_stopped && waiter.stands == 0 && self.is_free(wants)
                })
                .collect();
            for place in 0..waiters.len() {
                let can = can[place] && self.can_all_connected(place, waiters, &can);
                let waiter = &mut waiters[place];
                waiter.chance = can.then(|| waiter.chance.unwrap_or(at));
            }
        }
        self.waiting = waiting;
    }

    /// Whether all waiters that may be before this one in a queue can be served. Their order is not
    /// known: those who begin at about the same time may join the queue in any order.
    fn can_all_connected(&self, place: usize, waiters: &[Waiter], can: &[bool]) -> bool {
        let keys = |place: usize| self.courses[waiters[place].course].wants.keys();
        let mut others: Vec<usize> = (0..waiters.len()).filter(|it| *it != place).collect();
        let mut next = vec![place];
        while let Some(place) = next.pop() {
            if !can[place] {
                return false;
            }
            let shares =
                |other: &mut usize| keys(*other).iter().any(|key| keys(place).contains(key));
            next.extend(others.extract_if(.., shares));
        }
        true
    }

    /// Whether a majority of nodes is well and would grant this.
    fn is_free(&self, wants: &Wants) -> bool {
        match wants {
            Wants::Exclusive(keys) => {
                self.is_granted(|node| keys.iter().all(|key| self.is_vacant(key, node)))
            }
            Wants::Shared(keys) => self.is_granted(|node| {
                let states = keys.iter().filter_map(|key| self.keys.get(key));
                let mut states = states.map(|states| states[node]);
                states.all(|state| state.exclusive == 0 && state.reserved == 0)
            }),
            Wants::Permit(keys) => {
                (keys.iter()).any(|key| self.is_granted(|node| self.is_vacant(key, node)))
            }
        }
    }

    fn is_vacant(&self, key: &Arc<str>, node: usize) -> bool {
        let state = self.keys.get(key).map(|states| states[node]);
        state.is_none_or(|state| state.exclusive == 0 && state.shared == 0)
    }

    fn is_granted(&self, by: impl Fn(usize) -> bool) -> bool {
        let all = self.faults.len();
        let granted = (0..all).filter(|node| self.faults[*node] == 0 && by(*node));
        granted.count() > all / 2
    }
}

fn changes<'a>(
    courses: &'a [Course],
    events: &'a [Event],
    spans: Vec<&'a Span>,
) -> Vec<(u64, Change<'a>)> {
    let mut changes = Vec::new();
    for (place, course) in courses.iter().enumerate() {
        changes.push((course.since, Change::Begins(place)));
        if !course.is_open {
            changes.push((course.waited_until, Change::Ends(place)));
        }
    }
    for span in spans {
        changes.push((span.from, Change::Kept(span, 1)));
        changes.push((span.to, Change::Kept(span, -1)));
    }
    let is_state = |what: &What| {
        use What::{Continues, Goes, Ill, Stands, Stops, Well};
        matches!(
            what,
            Ill { .. }
                | Well { .. }
                | Stands { .. }
                | Goes { .. }
                | Stops { .. }
                | Continues { .. }
        )
    };
    let states = events.iter().filter(|event| is_state(&event.what));
    changes.extend(states.map(|event| (event.at, Change::Event(&event.what))));
    let end = events.last().map_or(0, |event| event.at);
    changes.retain(|(at, _)| *at <= end);
    // Stable: what is recorded at the same instant stays in its order.
    changes.sort_by_key(|(at, _)| *at);
    changes
}
