//! The number of attempts, and the pauses between them.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use crate::{ConfigError, node::EXCLUSIVE_NEXT};

/// The range of the default pauses, which are those of go-redsync.
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(250);

/// An exclusive waiter renews its reservation before it ends, even if a round takes as long as a
/// pause.
const _: () = assert!(EXCLUSIVE_NEXT.as_millis() >= 2 * LONGEST_PAUSE.as_millis());

/// The longest pause between the polls of a waiter that is woken. If a wake-up gets lost although
/// its connection lives, the waiter finds out after this time and a usual pause: within ten
/// seconds.
const LONGEST_RARE_PAUSE: Duration = Duration::from_secs(9);

/// The same, if an outage is to end the call. Where wake-ups work and locks do not, a waiter
/// notices that at its polls.
const LONGEST_PAUSE_BEFORE_OUTAGE: Duration = Duration::from_secs(2);

/// After this many attempts in a row that found no quorum of nodes, the pauses grow.
const FREE_OUTAGES: u32 = 3;

/// The bounds of the pause after such an attempt. The longest is short enough that locks are soon
/// granted again when the nodes are back.
const SHORTEST_OUTAGE_PAUSE: Duration = Duration::from_millis(250);
const LONGEST_OUTAGE_PAUSE: Duration = Duration::from_secs(1);

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
    /// The shortest pause between the polls of a waiter that is woken.
    pub(crate) const LEAST_RARE_PAUSE: Duration = Duration::from_secs(1);

    /// Draws the least pause after this number of rare polls in a row.
    pub(crate) fn rare_pause(&self, polls: u32) -> Duration {
        let longest = if self.outage_attempts < u32::MAX {
            LONGEST_PAUSE_BEFORE_OUTAGE
        } else {
            LONGEST_RARE_PAUSE
        };
        jittered(doubled(2 * Self::LEAST_RARE_PAUSE, polls).min(longest))
    }

    /// Draws the least pause after this number of attempts in a row that found no quorum of nodes,
    /// if it has grown.
    pub(crate) fn outage_pause(outages: u32) -> Option<Duration> {
        let times = outages.checked_sub(FREE_OUTAGES)?;
        Some(jittered(
            doubled(SHORTEST_OUTAGE_PAUSE, times).min(LONGEST_OUTAGE_PAUSE),
        ))
    }

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

/// Doubles a pause this many times.
fn doubled(pause: Duration, times: u32) -> Duration {
    pause.saturating_mul(1 << times.min(16))
}

/// Draws a pause between half of this one and all of it, so that those who began together do not
/// poll together.
fn jittered(pause: Duration) -> Duration {
    pause / 2 + (pause / 2).mul_f64(fastrand::f64())
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
