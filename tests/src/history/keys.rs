//! The keys on the nodes, and which of them stay for too long.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::Arc,
};

use super::{Call, End, Event, Expected, KeyMode, Rule, What, Wrong, calls::Course, nodes::Health};

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

/// The keys that a history without a record of the nodes lets one suppose: on each node for as long as
/// somebody believes in them, and for as long after that as they may stay.
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
        let is_shared = matches!(course.wants, super::Wants::Shared(_));
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

/// Up to when there is a use of the keys of a call.
#[derive(Clone, Copy, Default)]
struct Use {
    until: u64,
    /// They were left behind on purpose, or by a process that was killed.
    is_left: bool,
}

/// Returns by how many grants others' keys were handed over, beside what is wrong.
pub(super) fn check(
    courses: &[Course],
    spans: &[Span],
    health: &Health,
    expected: &Expected,
) -> (usize, Option<Wrong>) {
    if spans.is_empty() {
        return (0, None);
    }
    let (heirs, uses) = uses(courses, spans);
    let stale = expected.stale.as_nanos() as u64;
    let wrong = spans.iter().find_map(|span| {
        let owner = span.owner.filter(|_| span.mode != KeyMode::Reserved)?;
        let Use { until, is_left } = *uses.get(&owner)?;
        let late = until + stale;
        let was_well = health
            .of(span.node)
            .time_within(until.saturating_sub(stale), late)
            == stale + stale.min(until);
        (!is_left && span.to > late && was_well).then(|| {
            let (node, key, to) = (span.node, &span.key, span.to);
            let text =
                format!("node {node} kept {key} up to {to} for {owner}, who was done at {until}");
            Wrong::new(Rule::StaleKey, late, text)
        })
    });
    (heirs, wrong)
}

/// Finds who had the keys of each call. A lock that is handed over keeps the keys of its first holder.
fn uses(courses: &[Course], spans: &[Span]) -> (usize, HashMap<Call, Use>) {
    let setters: HashSet<Call> = spans.iter().filter_map(|span| span.owner).collect();
    let mut heirs = 0;
    let mut uses: HashMap<Call, Use> = HashMap::new();
    // By process and key.
    let mut holders: HashMap<(u32, &Arc<str>), Call> = HashMap::new();
    let mut owners: HashMap<Call, Call> = HashMap::new();
    let mut granted: Vec<_> = courses.iter().collect();
    granted.sort_by_key(|course| {
        course
            .belief
            .as_ref()
            .map(|belief| (belief.from, belief.to))
    });
    for course in granted {
        let call = course.call;
        let Some(belief) = &course.belief else {
            let unused = uses.entry(call).or_default();
            unused.until = unused.until.max(course.waited_until);
            unused.is_left |= course.is_open || course.is_killed;
            continue;
        };
        let place = course.held().first().map(|key| (call.process, key));
        let before = place.and_then(|place| holders.get(&place).copied());
        let owner = match (belief.resumes, before) {
            (Some(resumed), _) => owners.get(&resumed).copied().unwrap_or(resumed),
            (None, Some(before)) if !setters.contains(&call) => {
                heirs += 1;
                before
            }
            _ => call,
        };
        owners.insert(call, owner);
        if let Some(place) = place {
            holders.insert(place, owner);
        }
        for used in [call, owner] {
            let used = uses.entry(used).or_default();
            used.until = used.until.max(belief.ended);
            used.is_left = matches!(belief.end, Some(End::Left) | None);
        }
    }
    (heirs, uses)
}
