//! The options of a mutex, and their validation.

mod keys;
mod retry;
mod timing;

use std::{fmt, sync::Arc, time::Duration};

pub(crate) use self::{
    keys::{MAX_NAME_LEN, permit_key},
    retry::{Delay, Retry},
    timing::{NodeTimeout, Timing},
};
use crate::{ConfigError, Mode, error::BoxError};

/// The most permits of a semaphore. An attempt that finds all of them taken makes as many rounds,
/// one after the other, and a waiter watches as many names. With this many, such an attempt takes
/// 64 ms if the nodes are a millisecond away.
pub(crate) const MAX_PERMITS: usize = 64;

/// The greatest part of its time for which a name can be left open for clients that poll.
const MAX_OPEN_SHARE: f64 = 0.9;

/// A lock is handed over only until this part of its expiry has passed: a sixteenth.
const HAND_OVER_PART: u32 = 16;

/// All options of a mutex.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) key_prefix: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) timing: Timing,
    pub(crate) rounds: Rounds,
    pub(crate) retry: Retry,
    pub(crate) queueing: Queueing,
}

/// The kind of lock.
#[derive(Clone, Debug)]
pub(crate) struct Kind {
    pub(crate) mode: Mode,
    /// How many holders there may be at the same time, if the mode is exclusive.
    pub(crate) permits: usize,
    pub(crate) fencing: bool,
    /// Whether an extension sets the key again on nodes that have lost it.
    pub(crate) heals: bool,
}

/// How rounds are carried out.
#[derive(Clone)]
pub(crate) struct Rounds {
    /// Returns the label with which owner values begin.
    pub(crate) owner_label: OwnerLabel,
    pub(crate) fail_fast: bool,
    pub(crate) shuffled_nodes: bool,
}

type OwnerLabel = Option<Arc<dyn Fn() -> Result<String, BoxError> + Send + Sync>>;

/// How this process waits for the mutex and hands it over.
#[derive(Clone, Debug)]
pub(crate) struct Queueing {
    pub(crate) max_waiting: usize,
    /// How many times a lock may be handed over, and for how long after it was acquired.
    pub(crate) hand_overs: u32,
    pub(crate) max_hand_over_time: Duration,
    /// For how much of its time a name that always has waiters is left open for clients that poll.
    pub(crate) open_share: f64,
}

impl Default for Kind {
    fn default() -> Self {
        Self {
            mode: Mode::Exclusive,
            permits: 1,
            fencing: false,
            heals: false,
        }
    }
}

impl Default for Rounds {
    fn default() -> Self {
        Self {
            owner_label: None,
            fail_fast: true,
            shuffled_nodes: false,
        }
    }
}

impl Default for Queueing {
    fn default() -> Self {
        Self {
            max_waiting: usize::MAX,
            hand_overs: 100_000,
            max_hand_over_time: Duration::from_millis(50),
            open_share: 0.1,
        }
    }
}

impl Queueing {
    fn check(&self) -> Result<(), ConfigError> {
        // A NaN is in no range.
        if (0.0..=MAX_OPEN_SHARE).contains(&self.open_share) {
            return Ok(());
        }
        Err(ConfigError::option(
            "time_for_pollers",
            "at least 0 and at most 0.9",
            &self.open_share,
        ))
    }
}

impl Options {
    /// Checks that the options are valid. This is called for every lock: it compares a few numbers.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        self.timing.check()?;
        self.retry.check()?;
        self.queueing.check()?;
        self.kind.check()?;
        self.check_key_prefix()
    }

    /// How long after its acquisition a lock may be handed over. It is a small part of the expiry,
    /// so that most of the validity is left.
    pub(crate) fn hand_over_time(&self) -> Duration {
        let part = self.timing.expiry() / HAND_OVER_PART;
        self.queueing.max_hand_over_time.min(part)
    }
}

impl Kind {
    fn check(&self) -> Result<(), ConfigError> {
        if self.fencing && self.mode == Mode::Shared {
            return Err(ConfigError::option(
                "mode",
                "exclusive for a fenced lock (or turn fencing off)",
                &self.mode,
            ));
        }
        let must = match self.permits {
            1 => return Ok(()),
            2..=MAX_PERMITS if self.fencing => "1 for a fenced lock (or turn fencing off)",
            2..=MAX_PERMITS if self.mode == Mode::Shared => "1 for a shared lock",
            2..=MAX_PERMITS => return Ok(()),
            _ => "from 1 to 64",
        };
        Err(ConfigError::option("permits", must, &self.permits))
    }
}

impl fmt::Debug for Rounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rounds")
            .field("fail_fast", &self.fail_fast)
            .field("shuffled_nodes", &self.shuffled_nodes)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{keys::MAX_PREFIX_LEN, *};

    fn with(change: impl FnOnce(&mut Options)) -> Result<(), ConfigError> {
        let mut options = Options::default();
        change(&mut options);
        options.check()
    }

    #[test]
    fn the_defaults_are_valid() {
        Options::default().check().unwrap();
    }

    #[test]
    fn invalid_options_are_refused() {
        let secs = Duration::from_secs;
        let factor = |factor| NodeTimeout::Factor(factor);
        let absolute = |limit| NodeTimeout::Absolute(limit);
        for (option, result) in [
            (
                "expiry",
                with(|o| o.timing.set_expiry(Duration::from_millis(9))),
            ),
            ("expiry", with(|o| o.timing.set_expiry(Duration::MAX))),
            ("drift_factor", with(|o| o.timing.drift_factor = 1.0)),
            ("drift_factor", with(|o| o.timing.drift_factor = -0.1)),
            ("drift_factor", with(|o| o.timing.drift_factor = f64::NAN)),
            ("tries", with(|o| o.retry.tries = 0)),
            ("max_hold", with(|o| o.timing.max_hold = Some(secs(0)))),
            ("outage_attempts", with(|o| o.retry.outage_attempts = 0)),
            (
                "key_prefix",
                with(|o| o.key_prefix = "p".repeat(MAX_PREFIX_LEN + 1).into()),
            ),
            ("time_for_pollers", with(|o| o.queueing.open_share = -0.1)),
            ("time_for_pollers", with(|o| o.queueing.open_share = 1.0)),
            (
                "time_for_pollers",
                with(|o| o.queueing.open_share = f64::NAN),
            ),
            (
                "node_timeout",
                with(|o| o.timing.set_node_timeout(absolute(secs(0)))),
            ),
            (
                "timeout_factor",
                with(|o| o.timing.set_node_timeout(factor(0.0))),
            ),
            (
                "timeout_factor",
                with(|o| o.timing.set_node_timeout(factor(f64::NAN))),
            ),
            (
                "timeout_factor",
                with(|o| o.timing.set_node_timeout(factor(1.1))),
            ),
            (
                "timeout_factor",
                with(|o| o.timing.set_node_timeout(factor(1e-12))),
            ),
        ] {
            match result {
                Err(ConfigError::Option {
                    option: refused, ..
                }) => assert_eq!(refused, option),
                other => panic!("{option}: {other:?}"),
            }
        }
        assert!(matches!(
            with(|o| o.timing.set_min_validity(secs(8))),
            Err(ConfigError::NoValidity { .. })
        ));
    }
}
