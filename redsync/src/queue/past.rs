//! The memory of names whose queues have become empty.
//!
//! With two tasks that lock a name in turn, its queue is empty after each hand-over, although other
//! processes see the name held all the time. So what [`Fairness`] knows outlives the queue for a
//! while.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::fairness::Fairness;

/// A name without waiters is forgotten after this time: other processes have found it free. With
/// zero, a client that polls beside two tasks gets 22 locks in a minute, and nine calls fail.
const FORGOTTEN_AFTER: Duration = Duration::from_millis(500);

/// The most names to remember.
const MOST: usize = 1024;

/// The fairness of the names of empty queues.
#[derive(Default)]
pub(super) struct Past {
    by_name: HashMap<Arc<str>, Known>,
    /// When the names that had become useless were last removed.
    swept: Option<Instant>,
}

struct Known {
    fairness: Fairness,
    since: Instant,
}

impl Past {
    /// Remembers what the queue of a name knew.
    pub(super) fn keep(&mut self, name: Arc<str>, fairness: Fairness, now: Instant) {
        // Not for each name: when a crowd leaves, there are many.
        let is_due = |swept: Instant| now >= swept + FORGOTTEN_AFTER / 4;
        if self.by_name.len() == MOST && self.swept.is_none_or(is_due) {
            self.by_name.retain(|_, known| known.is_useful(now));
            self.swept = Some(now);
        }
        if self.by_name.len() < MOST {
            let since = now;
            self.by_name.insert(name, Known { fairness, since });
        }
    }

    /// What is known about a name, for its new queue.
    pub(super) fn take(&mut self, name: &str, now: Instant) -> Fairness {
        let known = self.by_name.remove(name);
        let known = known.filter(|known| known.is_useful(now));
        known.map_or_else(Fairness::default, |known| known.fairness)
    }
}

impl Known {
    fn is_useful(&self, now: Instant) -> bool {
        now < self.since + FORGOTTEN_AFTER
    }
}

#[cfg(test)]
mod tests {
    use super::{super::fairness::Sign, *};

    #[test]
    fn a_name_is_remembered_for_a_while() {
        let (mut past, now) = (Past::default(), Instant::now());
        let mut fairness = Fairness::default();
        fairness.note(Sign::Held, now);
        let time = Duration::from_millis(50);
        past.keep("name".into(), fairness, now);
        let later = now + FORGOTTEN_AFTER / 2;
        let fairness = past.take("name", later);
        assert!(fairness.fair_hand_over_time(time, later) < time);

        past.keep("name".into(), fairness, later);
        let fairness = past.take("name", later + FORGOTTEN_AFTER);
        assert_eq!(fairness.fair_hand_over_time(time, later), time);
    }

    #[test]
    fn no_more_names_are_remembered_than_a_process_can_bear() {
        let (mut past, now) = (Past::default(), Instant::now());
        for number in 0..2 * MOST {
            past.keep(number.to_string().into(), Fairness::default(), now);
        }
        assert_eq!(past.by_name.len(), MOST);
        // The old ones make room.
        let later = now + FORGOTTEN_AFTER;
        past.keep("name".into(), Fairness::default(), later);
        assert_eq!(past.by_name.len(), 1);
    }

    #[test]
    fn useless_names_are_not_looked_for_at_each_name_of_a_crowd_that_leaves() {
        let (mut past, now) = (Past::default(), Instant::now());
        let mut keep = |number: usize, at| {
            past.keep(number.to_string().into(), Fairness::default(), at);
            (past.by_name.len(), past.swept)
        };
        for number in 0..MOST {
            keep(number, now);
        }
        assert_eq!(keep(MOST, now), (MOST, Some(now)));
        let soon = now + FORGOTTEN_AFTER / 4 - Duration::from_millis(1);
        assert_eq!(keep(MOST, soon), (MOST, Some(now)));
        let later = now + FORGOTTEN_AFTER / 4;
        assert_eq!(keep(MOST, later), (MOST, Some(later)));
    }
}
