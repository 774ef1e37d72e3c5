//! When a lock that is kept alive is extended next.
//!
//! Pure: no clock, and no knowledge of tasks.

use std::time::Duration;

use tokio::time::Instant;

/// An extension is due when this part of the expiry has passed: a third.
const PART: u32 = 3;

/// After a failure, the extension is repeated when this part of the expiry has passed: a twelfth.
const REPEATED_PART: u32 = 12;

/// The part of the remaining validity after which an extension is repeated: a quarter.
const LEFT_PART: u32 = 4;

/// The times of a lock that decide when it is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Times {
    pub(super) expiry: Duration,
    /// The end of its validity.
    pub(super) until: Instant,
}

impl Times {
    /// The validity that is left at an instant.
    fn left(self, at: Instant) -> Duration {
        self.until.saturating_duration_since(at)
    }

    /// When the first extension is due. A lock that was resumed may be valid for less than an
    /// expiry.
    pub(super) fn first(self, now: Instant) -> Instant {
        now + (self.expiry / PART).min(self.left(now) / PART)
    }

    /// When the extension that began at `start` is repeated if it has no result by then.
    ///
    /// Its answers still count for as long as the lock is valid. If the nodes answer late because
    /// they are busy, more frequent repetitions would add to their load.
    pub(super) fn without_result(self, start: Instant, node_timeout: Duration) -> Instant {
        let pause = (self.left(start) / LEFT_PART).max(node_timeout);
        (start + pause).min(self.until)
    }

    /// When the extension that began at `start` and failed is repeated.
    pub(super) fn after_failure(self, start: Instant) -> Instant {
        start + (self.expiry / REPEATED_PART).min(self.left(start) / LEFT_PART)
    }

    /// When the next extension is due after one that began at `start` and succeeded.
    ///
    /// It counts from the answer, so that the extensions of locks that were acquired together
    /// spread out over time, but is due before half of the expiry has passed.
    pub(super) fn after_success(self, start: Instant, answered: Instant) -> Instant {
        (answered + self.expiry / PART).min(start + self.expiry / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    /// The times of a lock with an expiry of 1200 ms that is valid for `left` from `now`.
    fn times(now: Instant, left: u32) -> Times {
        Times {
            expiry: 1200 * MS,
            until: now + left * MS,
        }
    }

    #[test]
    fn the_first_extension_is_due_after_a_third() {
        let now = Instant::now();
        let whole = times(now, 1200);
        assert_eq!(whole.first(now), now + 400 * MS);
        let resumed = times(now, 300);
        assert_eq!(resumed.first(now), now + 100 * MS);
        let over = times(now, 0);
        assert_eq!(over.first(now), now);
    }

    #[test]
    fn the_next_third_counts_from_the_answer_up_to_half_of_the_expiry() {
        let now = Instant::now();
        let times = times(now, 1200);
        let next = |answer| times.after_success(now, now + answer * MS);
        assert_eq!(next(0), now + 400 * MS);
        assert_eq!(next(150), now + 550 * MS);
        assert_eq!(next(900), now + 600 * MS);
    }

    #[test]
    fn a_failed_extension_is_repeated_after_a_twelfth_or_a_quarter_of_what_is_left() {
        let now = Instant::now();
        assert_eq!(times(now, 800).after_failure(now), now + 100 * MS);
        assert_eq!(times(now, 200).after_failure(now), now + 50 * MS);
    }

    #[test]
    fn an_extension_without_a_result_is_repeated_after_a_quarter_of_what_is_left() {
        let now = Instant::now();
        let again = |left, timeout| times(now, left).without_result(now, timeout * MS);
        assert_eq!(again(800, 10), now + 200 * MS);
        // Not while the nodes may still answer in time, and no later than the end.
        assert_eq!(again(800, 400), now + 400 * MS);
        assert_eq!(again(80, 400), now + 80 * MS);
    }

    #[test]
    fn failures_without_an_end_are_repeated_ever_sooner_up_to_the_end() {
        let start = Instant::now();
        let times = times(start, 800);
        let mut at = start;
        for _ in 0..100 {
            let next = times.after_failure(at);
            assert!(at <= next && next <= times.until);
            at = next;
        }
        assert!(times.until - at < MS);
    }
}
