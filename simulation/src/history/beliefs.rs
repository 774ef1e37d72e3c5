//! Safety: what clients believed at the same time, and their tokens.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use super::{
    Call, Rule, Wants, Wrong,
    calls::{Belief, Course},
};

/// A belief, and whose it is.
#[derive(Clone, Copy)]
struct Held<'a> {
    course: &'a Course,
    belief: &'a Belief,
}

impl Held<'_> {
    const fn is_shared(&self) -> bool {
        matches!(self.course.wants, Wants::Shared(_))
    }
}

/// Checks all beliefs.
pub(super) fn check(courses: &[Course]) -> Vec<Wrong> {
    let mut by_key: BTreeMap<&Arc<str>, Vec<Held<'_>>> = BTreeMap::new();
    let mut semaphores: BTreeMap<&Arc<str>, Vec<Held<'_>>> = BTreeMap::new();
    let mut wrongs = Vec::new();
    for course in courses {
        let Some(belief) = &course.belief else {
            continue;
        };
        let held = Held { course, belief };
        if let Wants::Permit(keys) = &course.wants {
            semaphores.entry(&keys[0]).or_default().push(held);
        }
        if belief.permit.is_some() || !matches!(course.wants, Wants::Permit(_)) {
            for key in course.held() {
                by_key.entry(key).or_default().push(held);
            }
        }
        if let Some(since) = belief.revived {
            let text = format!(
                "{} extended its lock at {since} although it was over",
                course.call
            );
            wrongs.push(Wrong::new(Rule::Revived, since, text));
        }
    }
    for (key, mut held) in by_key {
        // Those who leave at an instant were there before those who come then. Of those who come and
        // leave at one instant, the place in the history says who was first.
        held.sort_by_key(|held| (held.belief.from, held.belief.to, held.belief.place));
        wrongs.extend(overlaps(key, &held));
        wrongs.extend(too_early(key, &held));
        held.sort_by_key(|held| held.belief.place);
        wrongs.extend(tokens(key, &held));
    }
    for (name, held) in semaphores {
        wrongs.extend(too_many(name, &held));
    }
    wrongs
}

/// Finds beliefs that are not disjoint, of which one at least is exclusive.
fn overlaps(key: &str, held: &[Held<'_>]) -> Option<Wrong> {
    let (before, held) = collide(held, |belief| belief.to)?;
    let text = format!("two held {key}: {} and {}", told(&before), told(&held));
    Some(Wrong::new(Rule::Overlap, held.belief.from, text))
}

/// Finds a belief that begins after the end of another, and before the end of its minimum hold.
fn too_early(key: &str, held: &[Held<'_>]) -> Option<Wrong> {
    let kept_until = |belief: &Belief| belief.kept_until().unwrap_or_default();
    let (before, held) = collide(held, kept_until)?;
    if before.belief.to > held.belief.from {
        // They overlap.
        return None;
    }
    let text = format!(
        "{} held {key} before {}, the end of the minimum hold of {}",
        told(&held),
        kept_until(before.belief),
        told(&before)
    );
    Some(Wrong::new(Rule::Minimum, held.belief.from, text))
}

/// Finds the first belief that begins before the `end` of an earlier one, if one of them at least
/// is exclusive.
fn collide<'a>(held: &[Held<'a>], end: impl Fn(&Belief) -> u64) -> Option<(Held<'a>, Held<'a>)> {
    let mut last: Option<Held<'_>> = None;
    let mut last_exclusive: Option<Held<'_>> = None;
    let later = |one: Option<&Held<'_>>, held: &Held<'_>| {
        one.is_none_or(|one| end(one.belief) < end(held.belief))
    };
    for held in held {
        let before = if held.is_shared() {
            last_exclusive
        } else {
            last
        };
        if let Some(before) = before
            && held.belief.from < end(before.belief)
        {
            return Some((before, *held));
        }
        if later(last.as_ref(), held) {
            last = Some(*held);
        }
        if !held.is_shared() && later(last_exclusive.as_ref(), held) {
            last_exclusive = Some(*held);
        }
    }
    None
}

/// Finds the first token that is not unique, or not larger than that of an earlier holder.
fn tokens(key: &str, held: &[Held<'_>]) -> Option<Wrong> {
    let mut owners: HashMap<u64, Call> = HashMap::new();
    let mut largest: Option<(u64, Held<'_>)> = None;
    for held in held {
        let Some(token) = held.belief.token else {
            continue;
        };
        let call = held.course.call;
        let earlier = owners.insert(token, call);
        // A lock that is taken over by another client keeps its token.
        if let Some(earlier) = earlier
            && held.belief.resumes != Some(earlier)
        {
            let text = format!("{call} and {earlier} have the token {token} for {key}");
            return Some(Wrong::new(Rule::Token, held.belief.from, text));
        }
        if !held.belief.was_valid() {
            continue;
        }
        if let Some((larger, before)) = largest
            && larger > token
        {
            let text = format!(
                "the token {token} of {} for {key} is not larger than {larger} of {}",
                told(held),
                told(&before)
            );
            return Some(Wrong::new(Rule::Token, held.belief.from, text));
        }
        largest = Some((token, *held));
    }
    None
}

/// Finds more holders of a semaphore at the same time than its largest number of permits.
fn too_many(name: &str, held: &[Held<'_>]) -> Option<Wrong> {
    let permits = held.iter().map(|held| held.course.wants.keys().len());
    let permits = permits.max()? as isize;
    let mut changes: Vec<_> = (held.iter())
        .flat_map(|held| [(held.belief.from, 1), (held.belief.to, -1)])
        .collect();
    // Those who leave at an instant come first.
    changes.sort_unstable();
    let mut count = 0;
    for (at, change) in changes {
        count += change;
        if count > permits {
            let text = format!("more than {permits} held {name}");
            return Some(Wrong::new(Rule::Overlap, at, text));
        }
    }
    None
}

fn told(held: &Held<'_>) -> String {
    let Belief { from, to, .. } = held.belief;
    format!("{} from {from} to {to}", held.course.call)
}
