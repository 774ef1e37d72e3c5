//! How long a lock is valid, and how long to wait for its nodes.

use std::{fmt, time::Duration};

use tokio::time::Instant;

use crate::ConfigError;

/// A year: longer than any sensible expiry, and far from overflowing an `Instant` or the clock of
/// Redis.
const MAX_EXPIRY: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const MIN_EXPIRY: Duration = Duration::from_millis(10);

#[derive(Clone)]
pub(crate) struct Timing {
    /// The expiry as it was set. Nodes are sent [`expiry()`](Self::expiry).
    expiry: Duration,
    pub(crate) drift_factor: f64,
    min_validity: Option<Duration>,
    node_timeout: NodeTimeout,
    pub(crate) max_hold: Option<Duration>,
    /// How long the keys stay after the acquisition, even if the lock is released before.
    pub(crate) min_hold: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum NodeTimeout {
    Absolute(Duration),
    Factor(f64),
}

impl Default for Timing {
    /// The defaults of go-redsync. (Its time-out is 0.05 of its expiry of 8 s: 400 ms.)
    fn default() -> Self {
        Self {
            expiry: Duration::from_secs(8),
            drift_factor: 0.01,
            min_validity: None,
            node_timeout: NodeTimeout::Absolute(Duration::from_millis(400)),
            max_hold: None,
            min_hold: Duration::ZERO,
        }
    }
}

impl Timing {
    pub(crate) const fn set_expiry(&mut self, expiry: Duration) {
        self.expiry = expiry;
    }

    pub(crate) const fn set_min_validity(&mut self, validity: Duration) {
        self.min_validity = Some(validity);
    }

    pub(crate) const fn set_node_timeout(&mut self, limit: NodeTimeout) {
        self.node_timeout = limit;
    }

    /// The expiry in whole milliseconds, as it is sent to nodes.
    pub(crate) const fn expiry(&self) -> Duration {
        Duration::from_millis(self.expiry.as_millis() as u64)
    }

    /// The drift: what is subtracted from the time for which nodes keep a key. A part of it allows
    /// for clocks that run at different rates, and 2 ms allow for the precision of Redis' expiries
    /// (redis.io, "Distributed Locks with Redis").
    pub(crate) fn drift(&self, kept: Duration) -> Duration {
        kept.mul_f64(self.drift_factor) + Duration::from_millis(2)
    }

    /// The end of the validity of a lock that nodes keep for `kept` from no earlier than `start`. A
    /// node may say that it keeps a lock for any time, and an instant has a limit.
    pub(crate) fn until_from(&self, start: Instant, kept: Duration) -> Instant {
        let kept = kept.min(MAX_EXPIRY);
        start + kept.saturating_sub(self.drift(kept))
    }

    pub(crate) fn min_validity(&self) -> Duration {
        self.min_validity.unwrap_or(self.expiry() / 10)
    }

    /// Whether a lock that is valid up to `until` is valid for long enough at `now` for a new holder.
    pub(crate) fn is_enough(&self, now: Instant, until: Instant) -> bool {
        now + self.min_validity() < until
    }

    /// How long to wait for a node's answer.
    pub(crate) fn node_timeout(&self) -> Duration {
        match self.node_timeout {
            NodeTimeout::Absolute(limit) => limit,
            NodeTimeout::Factor(factor) => self.expiry().mul_f64(factor),
        }
        .min(self.expiry())
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        if self.expiry < MIN_EXPIRY || self.expiry > MAX_EXPIRY {
            let must = "from 10 ms to a year";
            return Err(ConfigError::option("expiry", must, &self.expiry));
        }
        if !(0.0..1.0).contains(&self.drift_factor) {
            let must = "at least 0 and below 1";
            return Err(ConfigError::option(
                "drift_factor",
                must,
                &self.drift_factor,
            ));
        }
        self.check_node_timeout()?;
        self.check_holds()?;
        let (expiry, min_validity) = (self.expiry(), self.min_validity());
        let drift = self.drift(expiry);
        if expiry.saturating_sub(drift) <= min_validity {
            return Err(ConfigError::NoValidity {
                expiry,
                drift,
                min_validity,
            });
        }
        Ok(())
    }

    fn check_node_timeout(&self) -> Result<(), ConfigError> {
        match self.node_timeout {
            NodeTimeout::Absolute(limit) if limit.is_zero() => {
                Err(ConfigError::option("node_timeout", "above zero", &limit))
            }
            NodeTimeout::Factor(factor) if !(factor > 0.0 && factor <= 1.0) => {
                let must = "above 0 and at most 1";
                Err(ConfigError::option("timeout_factor", must, &factor))
            }
            // The factor is above zero, but so small that nothing is left of the expiry.
            limit if self.node_timeout() < Duration::from_micros(1) => {
                let must = "large enough to leave at least 1 µs of the expiry";
                Err(ConfigError::option("timeout_factor", must, &limit))
            }
            _ => Ok(()),
        }
    }

    fn check_holds(&self) -> Result<(), ConfigError> {
        let least = self.min_validity();
        if let Some(max_hold) = self.max_hold.filter(|max_hold| *max_hold <= least) {
            let must = "longer than the least validity";
            return Err(ConfigError::option("max_hold", must, &max_hold));
        }
        // So a node keeps the key for the minimum even if no release reaches it.
        if self.min_hold > self.expiry() {
            let must = "at most the expiry";
            return Err(ConfigError::option("min_hold", must, &self.min_hold));
        }
        Ok(())
    }
}

impl fmt::Debug for Timing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timing")
            .field("expiry", &self.expiry)
            .field("drift_factor", &self.drift_factor)
            .field("min_validity", &self.min_validity())
            .field("node_timeout", &self.node_timeout())
            .field("max_hold", &self.max_hold)
            .field("min_hold", &self.min_hold)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_expiry_is_cut_to_whole_milliseconds_before_drift_is_subtracted() {
        let timing = Timing {
            expiry: Duration::from_micros(1_000_999),
            ..Timing::default()
        };
        assert_eq!(timing.expiry(), Duration::from_millis(1000));
        assert_eq!(timing.drift(timing.expiry()), Duration::from_millis(12));
        let start = Instant::now();
        let until = timing.until_from(start, timing.expiry());
        assert_eq!(until - start, Duration::from_millis(988));
    }

    #[test]
    fn a_lock_that_nodes_keep_for_ever_is_valid_for_about_a_year() {
        let (timing, start) = (Timing::default(), Instant::now());
        let valid = timing.until_from(start, Duration::MAX) - start;
        assert!(valid > MAX_EXPIRY / 2 && valid < MAX_EXPIRY);
    }

    #[test]
    fn a_new_holder_needs_more_than_the_least_validity() {
        let (mut timing, now) = (Timing::default(), Instant::now());
        timing.set_min_validity(Duration::from_secs(2));
        let is_enough = |valid| timing.is_enough(now, now + valid);
        assert!(is_enough(Duration::from_millis(2001)));
        assert!(!is_enough(Duration::from_secs(2)));
        assert!(!is_enough(Duration::ZERO));
    }

    #[test]
    fn the_node_time_limit_is_capped_by_the_expiry() {
        let mut timing = Timing {
            expiry: Duration::from_millis(100),
            ..Timing::default()
        };
        assert_eq!(timing.node_timeout(), Duration::from_millis(100));
        timing.node_timeout = NodeTimeout::Factor(0.05);
        assert_eq!(timing.node_timeout(), Duration::from_millis(5));
    }
}
