//! The number of attempts, and the pauses between them.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use crate::{ConfigError, node::EXCLUSIVE_NEXT};

/// The range of the default pauses, which are those of go-redsync.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// An exclusive waiter renews its reservation before it ends, even if a round takes as long as a
/// pause.
const _: () = assert!(EXCLUSIVE_NEXT.as_millis() >= 2 * LONGEST_PAUSE.as_millis());

#[derive(Clone)]
pub(crate) struct Retry {
    pub(crate) tries: u32,
    /// Locking fails after this many attempts in a row that found no quorum of nodes.
    pub(crate) outage_attempts: u32,
    pub(crate) delay: Delay,
}

#[derive(Clone)]
pub(crate) enum Delay {
    Uniform(Range<Duration>),
    Function(Arc<dyn Fn(u32) -> Duration + Send + Sync>),
}

impl Default for Retry {
    /// The defaults of go-redsync.
    fn default() -> Self {
        Self {
            tries: 32,
            outage_attempts: u32::MAX,
            delay: Delay::Uniform(SHORTEST_PAUSE..LONGEST_PAUSE),
        }
    }
}

impl Retry {
    /// The pause after the given number of attempts.
    pub(crate) fn delay(&self, attempts: u32) -> Duration {
        match &self.delay {
            Delay::Uniform(range) if range.is_empty() => range.start,
            Delay::Uniform(range) => {
                range.start + (range.end - range.start).mul_f64(fastrand::f64())
            }
            Delay::Function(delay) => delay(attempts),
        }
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.tries == 0 {
            return Err(ConfigError::option("tries", "at least 1", &self.tries));
        }
        if self.outage_attempts == 0 {
            return Err(ConfigError::option(
                "outage_attempts",
                "at least 1",
                &self.outage_attempts,
            ));
        }
        Ok(())
    }
}

impl fmt::Debug for Retry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Retry")
            .field("tries", &self.tries)
            .field("outage_attempts", &self.outage_attempts)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_delay_is_spread_over_its_range() {
        let retry = Retry::default();
        let delays: Vec<_> = (1..200).map(|attempts| retry.delay(attempts)).collect();
        let range = Duration::from_millis(50)..Duration::from_millis(250);
        assert!(delays.iter().all(|delay| range.contains(delay)));
        let below = |limit| delays.iter().any(|delay| *delay < limit);
        assert!(below(Duration::from_millis(100)));
        let above = |limit| delays.iter().any(|delay| *delay > limit);
        assert!(above(Duration::from_millis(200)));
    }
}
