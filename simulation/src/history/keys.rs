//! The keys on the nodes, and which of them stay for too long.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{
    Call, End, Event, Expected, KeyMode, Rule, Wants, What, Wrong,
    calls::Course,
    nodes::{Health, Stops},
};

/// That a node kept a key for a call.
#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) node: u32,
    pub(super) key: Arc<str>,
    pub(super) owner: Option<Call>,
    pub(super) mode: KeyMode,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// Finds all spans.
pub(super) fn spans(events: &[Event]) -> Vec<Span> {
    let mut open: BTreeMap<(u32, Arc<str>, Option<Call>, bool), Span> = BTreeMap::new();
    let mut spans = Vec::new();
    for Event { at, what } in events {
        match what {
            What::Kept {
                node,
                key,
                owner,
                mode,
                until,
            } => {
                let is_reserved = *mode == KeyMode::Reserved;
                let place = (*node, Arc::clone(key), *owner, is_reserved);
                if let Some(span) = open.get_mut(&place)
                    && span.to >= *at
                {
                    span.to = span.to.max(*until);
                    continue;
                }
                let span = Span {
                    node: *node,
                    key: Arc::clone(key),
                    owner: *owner,
                    mode: *mode,
                    from: *at,
                    to: *until,
                };
                spans.extend(open.insert(place, span));
            }
            What::Freed { node, key, owner } => {
                for is_reserved in [false, true] {
                    let place = (*node, Arc::clone(key), *owner, is_reserved);
                    spans.extend(open.remove(&place).map(|span| span.ended(*at)));
                }
            }
            What::Emptied { node } => {
                let mut lost = open.split_off(&(*node, "".into(), None, false));
                open.append(&mut lost.split_off(&(node + 1, "".into(), None, false)));
                spans.extend(lost.into_values().map(|span| span.ended(*at)));
            }
            _ => {}
        }
    }
    spans.extend(open.into_values());
    spans
}

impl Span {
    fn ended(self, at: u64) -> Self {
        let to = self.to.min(at);
        Self { to, ..self }
    }
}

/// The keys that a history without a record of the nodes lets one suppose: on each node for as long
/// as somebody believes in them, and for as long after that as they may stay.
pub(super) fn supposed(courses: &[Course], expected: &Expected) -> Vec<Span> {
    let mut spans = Vec::new();
    for course in courses {
        let Some(belief) = &course.belief else {
            continue;
        };
        let stays = match belief.end {
            Some(End::Released) => expected.stale,
            Some(End::Lost | End::Left) | None => expected.expiry.max(expected.stale),
        };
        let is_shared = matches!(course.wants, Wants::Shared(_));
        let mode = if is_shared {
            KeyMode::Shared
        } else {
            KeyMode::Exclusive
        };
        for node in 0..expected.nodes {
            for key in course.held() {
                spans.push(Span {
                    node,
                    key: Arc::clone(key),
                    owner: Some(course.call),
                    mode,
                    from: belief.from,
                    to: belief.ended + stays.as_nanos() as u64,
                });
            }
        }
    }
    spans
}

/// Whose keys the holders of locks had, and up to when.
pub(super) struct Owners {
    /// A lock that is handed over, or taken over, keeps the keys of its first holder.
    of: HashMap<Call, Call>,
    uses: HashMap<Call, Use>,
    hand_overs: usize,
}

/// Up to when there is a use of the keys of a call.
#[derive(Clone, Copy, Default)]
struct Use {
    until: u64,
    /// They were left behind on purpose, or by a process that was killed.
    is_left: bool,
}

/// The spans of each call, which may have keys of attempts that failed beside those of its lock.
struct Own<'a>(HashMap<Call, Vec<&'a Span>>);

impl<'a> Own<'a> {
    fn of(spans: &'a [Span]) -> Self {
        let mut own: HashMap<Call, Vec<&Span>> = HashMap::new();
        for span in spans {
            if let Some(owner) = span.owner.filter(|_| span.mode != KeyMode::Reserved) {
                own.entry(owner).or_default().push(span);
            }
        }
        Self(own)
    }

    fn has_majority(&self, call: Call, at: u64, key: &Arc<str>, expected: &Expected) -> bool {
        let own = self.0.get(&call).into_iter().flatten();
        let kept = own.filter(|span| (span.from..=span.to).contains(&at) && span.key == *key);
        let nodes: HashSet<u32> = kept.map(|span| span.node).collect();
        nodes.len() > expected.nodes as usize / 2
    }
}

impl Owners {
    pub(super) fn find(courses: &[Course], spans: &[Span], expected: &Expected) -> Self {
        let mut owners = Self {
            of: HashMap::new(),
            uses: HashMap::new(),
            hand_overs: 0,
        };
        if spans.is_empty() {
            return owners;
        }
        let own = Own::of(spans);
        // By process and key.
        let mut holders: HashMap<(u32, &Arc<str>), Call> = HashMap::new();
        let mut granted: Vec<_> = courses.iter().collect();
        granted.sort_by_key(|course| course.belief.as_ref().map(|belief| belief.place));
        for course in granted {
            let call = course.call;
            let (Some(belief), Some(key)) = (&course.belief, course.held().first()) else {
                let unused = owners.uses.entry(call).or_default();
                unused.until = course.waited_until;
                unused.is_left = course.is_open || course.is_killed;
                continue;
            };
            // Shared locks are not handed over.
            let is_shared = matches!(course.wants, Wants::Shared(_));
            let before = holders
                .get(&(call.process, key))
                .copied()
                .filter(|_| !is_shared);
            let owner = match (belief.resumes, before) {
                (Some(resumed), _) => owners.of(resumed),
                (None, Some(before)) if !own.has_majority(call, belief.from, key, expected) => {
                    owners.hand_overs += 1;
                    before
                }
                _ => call,
            };
            owners.of.insert(call, owner);
            holders.insert((call.process, key), owner);
            for used in [call, owner] {
                let used = owners.uses.entry(used).or_default();
                used.until = used.until.max(belief.used_until());
                used.is_left = matches!(belief.end, Some(End::Left) | None);
            }
        }
        owners
    }

    /// Whose keys a call has.
    pub(super) fn of(&self, call: Call) -> Call {
        self.of.get(&call).copied().unwrap_or(call)
    }

    /// How many grants had no keys of their own, because the lock was handed over.
    pub(super) const fn hand_overs(&self) -> usize {
        self.hand_overs
    }
}

/// Finds the first key that stayed for too long.
pub(super) fn check(
    events: &[Event],
    spans: &[Span],
    owners: &Owners,
    health: &Health,
    expected: &Expected,
) -> Option<Wrong> {
    let (expiry, stale) = (
        expected.expiry.as_nanos() as u64,
        expected.stale.as_nanos() as u64,
    );
    let stops = Stops::of_calls(events);
    spans.iter().find_map(|span| {
        let owner = span.owner.filter(|_| span.mode != KeyMode::Reserved)?;
        let Use { until, is_left } = *owners.uses.get(&owner)?;
        let (since, late) = (until.saturating_sub(expiry), until + stale);
        let was_well = health.of(span.node).time_within(since, late) == late - since;
        // It may have been handed over to a call that stands still.
        let went = || stops.went(owner.process, since, late);
        (!is_left && span.to > late && was_well && went()).then(|| {
            let (node, key, to) = (span.node, &span.key, span.to);
            let text =
                format!("node {node} kept {key} up to {to} for {owner}, who was done at {until}");
            Wrong::new(Rule::StaleKey, late, text)
        })
    })
}
