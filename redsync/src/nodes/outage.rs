//! An outage: too few nodes answer, so no lock can be acquired. It is reported when it begins, now
//! and then while it lasts, and when it is over.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use crate::sync::Mutex;

/// An outage is over when no attempt has found too few answers for this long.
const QUIET: Duration = Duration::from_secs(1);

/// How often an outage is reported while it lasts.
const REMINDER: Duration = Duration::from_secs(10);

#[derive(Default)]
pub(super) struct Outage {
    /// Whether there is an outage. So an attempt outside of one does not lock the mutex.
    is_on: AtomicBool,
    state: Mutex<Option<State>>,
}

struct State {
    since: Instant,
    last: Instant,
    reported: Instant,
    attempts: u64,
}

/// An outage that is over.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Over {
    pub(super) lasted: Duration,
    /// How many attempts failed.
    pub(super) attempts: u64,
}

impl Outage {
    /// Notes an attempt for which too few nodes answered. If this is to be reported, it returns how
    /// many attempts have failed so far.
    pub(super) fn failed(&self, now: Instant) -> Option<u64> {
        let mut current = self.state.lock();
        let Some(state) = &mut *current else {
            // Relaxed, here and below: it is only a hint, and `answered` locks before it relies on
            // anything.
            self.is_on.store(true, Ordering::Relaxed);
            *current = Some(State {
                since: now,
                last: now,
                reported: now,
                attempts: 1,
            });
            return Some(1);
        };
        state.last = now;
        state.attempts += 1;
        if now.saturating_duration_since(state.reported) < REMINDER {
            return None;
        }
        state.reported = now;
        Some(state.attempts)
    }

    /// Whether an attempt for which enough nodes answered has to be noted.
    pub(super) fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Notes an attempt for which enough nodes answered.
    pub(super) fn answered(&self, now: Instant) -> Option<Over> {
        let mut state = self.state.lock();
        let ended = state.take_if(|state| now.saturating_duration_since(state.last) >= QUIET)?;
        self.is_on.store(false, Ordering::Relaxed);
        Some(Over {
            attempts: ended.attempts,
            lasted: now.saturating_duration_since(ended.since),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_reported_at_its_beginning_now_and_then_and_at_its_end() {
        let (outage, start) = (Outage::default(), Instant::now());
        let second = Duration::from_secs(1);
        assert_eq!(outage.answered(start), None);
        assert_eq!(outage.failed(start), Some(1));
        for after in 1..10 {
            assert_eq!(outage.failed(start + after * second), None);
        }
        assert_eq!(outage.failed(start + REMINDER), Some(11));
        assert_eq!(outage.answered(start + REMINDER), None);
        let over = Over {
            attempts: 11,
            lasted: REMINDER + second,
        };
        assert_eq!(outage.answered(start + REMINDER + second), Some(over));
        assert_eq!(outage.answered(start + 2 * REMINDER), None);
    }
}
