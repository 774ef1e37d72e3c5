//! How many tries, how long between them, and until when.

use std::time::Duration;

use tokio::time::Instant;

use crate::options::Retry;

/// When to give up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    Tries(u32),
    Until(Instant),
}

impl Limit {
    /// Whether there may be more than one try.
    pub(crate) const fn retries(self) -> bool {
        !matches!(self, Self::Tries(1))
    }

    /// Whether to give up after `tries` tries, the last `outages` of which found no quorum.
    pub(crate) fn is_over(self, retry: &Retry, tries: u32, outages: u32, now: Instant) -> bool {
        let is_over = match self {
            Self::Tries(limit) => tries >= limit,
            Self::Until(deadline) => now >= deadline,
        };
        is_over || outages >= retry.outage_attempts
    }

    /// The pause after `tries` tries. The last try before a deadline is made at the deadline.
    pub(crate) fn pause(self, retry: &Retry, tries: u32, now: Instant) -> Duration {
        let pause = retry.delay(tries);
        match self {
            Self::Tries(_) => pause,
            Self::Until(deadline) => pause.min(deadline.saturating_duration_since(now)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_end_at_their_number() {
        let retry = Retry::default();
        let now = Instant::now();
        assert!(!Limit::Tries(2).is_over(&retry, 1, 0, now));
        assert!(Limit::Tries(2).is_over(&retry, 2, 0, now));
        assert!(!Limit::Tries(1).retries());
    }

    #[test]
    fn the_last_try_is_at_the_deadline() {
        let retry = Retry::default();
        let now = Instant::now();
        let limit = |millis| Limit::Until(now + Duration::from_millis(millis));
        assert_eq!(limit(10).pause(&retry, 1, now), Duration::from_millis(10));
        assert!(!limit(10).is_over(&retry, 1, 0, now));
        assert!(limit(0).is_over(&retry, 1, 0, now));
    }

    #[test]
    fn an_outage_ends_the_tries_early_where_that_is_asked_for() {
        let retry = Retry {
            outage_attempts: 2,
            ..Retry::default()
        };
        let now = Instant::now();
        assert!(!Limit::Tries(9).is_over(&retry, 1, 1, now));
        assert!(Limit::Tries(9).is_over(&retry, 2, 2, now));
    }
}
