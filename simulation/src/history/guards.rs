//! Guards that are kept alive, and which of them are lost without need.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use super::{
    Call, End, Event, Expected, Rule, What, Wrong,
    calls::{Belief, Course},
    intervals::Intervals,
    keys::{Owners, Span},
    nodes::{Health, Stops},
};

/// The spans of a call on a node.
type Kept<'a> = HashMap<(Call, u32), Vec<&'a Span>>;

/// Finds the first guard that is lost although a majority had its keys and was well.
pub(super) fn check(
    courses: &[Course],
    events: &[Event],
    spans: &[Span],
    owners: &Owners,
    health: &Health,
    expected: &Expected,
) -> Option<Wrong> {
    let stops = Stops::of_processes(events);
    let mut kept: Kept<'_> = HashMap::new();
    for span in spans {
        if let Some(owner) = span.owner {
            kept.entry((owner, span.node)).or_default().push(span);
        }
    }
    let lacking: HashSet<(Call, u32)> = (events.iter())
        .filter_map(|event| match event.what {
            What::Lacks { call, node } => Some((call, node)),
            _ => None,
        })
        .collect();
    let expiry = expected.expiry.as_nanos() as u64;
    courses.iter().find_map(|course| {
        let Belief {
            until,
            kept_since,
            end,
            ..
        } = course.belief.as_ref()?;
        let (until, begin) = (*until, until.saturating_sub(expiry));
        let since = begin.max((*kept_since)?);
        let went = stops.went(course.call.process, begin, until);
        if *end != Some(End::Lost) || !went {
            return None;
        }
        let has_keys = |node: u32| {
            let kept = kept.get(&(owners.of(course.call), node));
            let kept = kept.map(Vec::as_slice).unwrap_or_default();
            (course.held().iter()).all(|key| has_key(kept, key, since, until))
        };
        let others = (0..health.nodes()).filter(|node| !lacking.contains(&(course.call, *node)));
        let well = others.flat_map(|node| {
            let well = health.of(node);
            let parts: Vec<_> = if spans.is_empty() {
                // It may have missed the acquisition, and the keeper may need a moment to find out
                // that a fault is over.
                let mut parts = well.parts_within(course.since, until);
                let first = parts.next().filter(|(from, _)| *from == course.since);
                first.map(|(_, to)| (since, to)).into_iter().collect()
            } else if has_keys(node) {
                well.parts_within(since, until).collect()
            } else {
                Vec::new()
            };
            parts
        });
        let well = Intervals::of_at_least(health.nodes() as usize / 2 + 1, well);
        let keep = expected.keep.as_nanos() as u64;
        (well.longest_within(since, until) >= keep).then(|| {
            let text = format!("{} lost its lock at {until}", course.call);
            Wrong::new(Rule::LostGuard, until, text)
        })
    })
}

fn has_key(kept: &[&Span], key: &Arc<str>, since: u64, until: u64) -> bool {
    let is_whole = |span: &&Span| span.key == *key && span.from <= since && span.to >= until;
    kept.iter().any(is_whole)
}
