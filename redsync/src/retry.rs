//! How many tries, how long between them, and until when.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::{
    Guard, LockError,
    attempt::{Attempt, Failure, Reason},
    options::Options,
    wanted::Wanted,
};

/// When to give up.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    Tries(u32),
    Until(Instant),
}

/// The tries after a first one that failed.
pub(crate) async fn again(
    wanted: Wanted,
    limit: Limit,
    mut failure: Failure,
) -> Result<Guard, LockError> {
    let mut tries = 1_u32;
    let mut outages = 0_u32;
    loop {
        match failure.reason {
            Reason::Unavailable => outages = outages.saturating_add(1),
            Reason::Taken => outages = 0,
        }
        let Some(delay) = limit.delay(&wanted.options, tries, outages, Instant::now()) else {
            return Err(failure.into_error(limit));
        };
        sleep(delay).await;
        failure = match Attempt::start(&wanted)?.await {
            Ok(guard) => return Ok(guard),
            Err(failure) => failure,
        };
        tries = tries.saturating_add(1);
    }
}

impl Limit {
    /// Whether there may be more than one try.
    pub(crate) const fn retries(self) -> bool {
        !matches!(self, Self::Tries(1))
    }

    /// The pause after `tries` tries, the last `outages` of which found no quorum; [`None`] to give
    /// up. The last try before a deadline is made at the deadline.
    fn delay(self, options: &Options, tries: u32, outages: u32, now: Instant) -> Option<Duration> {
        if outages >= options.outage_tries {
            return None;
        }
        match self {
            Self::Tries(limit) if tries >= limit => None,
            Self::Tries(_) => Some(options.retry_delay(tries)),
            Self::Until(deadline) if now >= deadline => None,
            Self::Until(deadline) => Some(options.retry_delay(tries).min(deadline - now)),
        }
    }
}

impl Failure {
    pub(crate) fn into_error(self, limit: Limit) -> LockError {
        match (self.reason, limit) {
            (Reason::Unavailable, _) => LockError::Unavailable(self.votes),
            (Reason::Taken, Limit::Tries(_)) => LockError::Taken(self.votes),
            (Reason::Taken, Limit::Until(_)) => LockError::TimedOut(self.votes),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tries_end_at_their_number() {
        let options = Options::default();
        let now = Instant::now();
        assert!(Limit::Tries(2).delay(&options, 1, 0, now).is_some());
        assert!(Limit::Tries(2).delay(&options, 2, 0, now).is_none());
        assert!(!Limit::Tries(1).retries());
    }

    #[test]
    fn the_last_try_is_at_the_deadline() {
        let options = Options::default();
        let now = Instant::now();
        let limit = |millis| Limit::Until(now + Duration::from_millis(millis));
        let delay = limit(10).delay(&options, 1, 0, now);
        assert_eq!(delay, Some(Duration::from_millis(10)));
        assert!(limit(0).delay(&options, 1, 0, now).is_none());
    }

    #[test]
    fn an_outage_ends_the_tries_early_where_that_is_asked_for() {
        let options = Options {
            outage_tries: 2,
            ..Options::default()
        };
        let now = Instant::now();
        assert!(Limit::Tries(9).delay(&options, 1, 1, now).is_some());
        assert!(Limit::Tries(9).delay(&options, 2, 2, now).is_none());
    }
}
