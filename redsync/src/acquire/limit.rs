//! The limit of a call that locks: how many attempts it makes, or up to when.

use std::time::Duration;

use tokio::time::Instant;

use crate::options::Retry;

/// The longest pause or wait: practically without an end, and still within the range of the clock.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// The limit up to which a call makes attempts.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    Tries(u32),
    Until(Instant),
}

impl Limit {
    /// The limit of a call that may wait for this long.
    pub(crate) fn within(now: Instant, wait: Duration) -> Self {
        Self::Until(after(now, wait))
    }

    /// Whether there may be more than one attempt.
    pub(crate) const fn retries(self) -> bool {
        !matches!(self, Self::Tries(1))
    }

    /// Whether a first attempt that starts now may be followed by another.
    pub(crate) fn repeats(self, now: Instant) -> bool {
        match self {
            Self::Tries(tries) => tries > 1,
            Self::Until(deadline) => now < deadline,
        }
    }

    pub(super) const fn deadline(self) -> Option<Instant> {
        match self {
            Self::Tries(_) => None,
            Self::Until(deadline) => Some(deadline),
        }
    }

    /// The deadline for a first attempt that waits at the gate. A call that is limited by its
    /// attempts gives each of them the time that a node may take.
    pub(crate) fn first_attempt_by(self, node_timeout: Duration, now: Instant) -> Instant {
        match self {
            Self::Tries(tries) => after(now, node_timeout.saturating_mul(tries)),
            Self::Until(deadline) => deadline,
        }
    }

    /// Whether no attempt may follow after `tries` attempts, the last `outages` of which found no
    /// quorum.
    pub(super) fn is_over(self, retry: &Retry, tries: u32, outages: u32, now: Instant) -> bool {
        let is_over = match self {
            Self::Tries(limit) => tries >= limit,
            Self::Until(deadline) => now >= deadline,
        };
        is_over || outages >= retry.outage_attempts
    }

    /// The pause after `tries` attempts. The last attempt before a deadline is made at the
    /// deadline.
    pub(super) fn pause(self, retry: &Retry, tries: u32, now: Instant) -> Duration {
        let pause = retry.delay(tries);
        match self {
            Self::Tries(_) => pause,
            Self::Until(deadline) => pause.min(deadline.saturating_duration_since(now)),
        }
    }
}

/// Returns the instant after a pause or a wait, which may have any length, because the user can
/// choose it.
pub(super) fn after(now: Instant, pause: Duration) -> Instant {
    now + pause.min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attempts_end_at_their_number() {
        let retry = Retry::default();
        let now = Instant::now();
        assert!(!Limit::Tries(2).is_over(&retry, 1, 0, now));
        assert!(Limit::Tries(2).is_over(&retry, 2, 0, now));
        assert!(!Limit::Tries(1).retries());
        assert!(Limit::Tries(2).retries() && Limit::within(now, Duration::ZERO).retries());
    }

    #[test]
    fn an_attempt_is_repeated_unless_it_is_the_last() {
        let now = Instant::now();
        assert!(!Limit::Tries(1).repeats(now) && Limit::Tries(2).repeats(now));
        assert!(!Limit::within(now, Duration::ZERO).repeats(now));
        assert!(Limit::within(now, Duration::from_millis(1)).repeats(now));
    }

    #[test]
    fn the_last_attempt_is_at_the_deadline() {
        let retry = Retry::default();
        let now = Instant::now();
        let limit = |millis| Limit::Until(now + Duration::from_millis(millis));
        assert_eq!(limit(10).pause(&retry, 1, now), Duration::from_millis(10));
        assert!(!limit(10).is_over(&retry, 1, 0, now));
        assert!(limit(0).is_over(&retry, 1, 0, now));
    }

    #[test]
    fn an_outage_ends_the_attempts_early_if_the_options_say_so() {
        let retry = Retry {
            outage_attempts: 2,
            ..Retry::default()
        };
        let now = Instant::now();
        assert!(!Limit::Tries(9).is_over(&retry, 1, 1, now));
        assert!(Limit::Tries(9).is_over(&retry, 2, 2, now));
    }
}
