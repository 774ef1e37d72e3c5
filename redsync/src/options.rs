//! The options of a mutex, and their validation.

mod retry;
mod timing;

use std::{fmt, sync::Arc, time::Duration};

pub(crate) use self::{
    retry::{Delay, Retry},
    timing::{NodeTimeout, Timing},
};
use crate::{ConfigError, Mode, error::BoxError, fence::is_counter};

/// The greatest length of a name together with its prefix, in bytes.
pub(crate) const MAX_NAME_LEN: usize = 1024;

/// The greatest length of a prefix, in bytes. Beside it there is room for every name that a client of a
/// service may choose: `redsync-tower` shortens those of more than 200 bytes. So that a prefix is too
/// long is found when it is set, and not when a client sends a long name.
const MAX_PREFIX_LEN: usize = MAX_NAME_LEN - 256;

/// The end of the keys of all permits but the first: this, and the number of the permit. Names that
/// end in this way cannot be locked.
const PERMIT: &str = ":permit-";

/// The most permits of a semaphore. An attempt that finds all of them taken makes as many rounds, one
/// after the other, and a waiter watches as many names. With this many, such an attempt takes 64 ms if
/// the nodes are a millisecond away.
pub(crate) const MAX_PERMITS: usize = 64;

/// The greatest part of its time for which a name can be left open for clients that poll.
const MAX_OPEN_SHARE: f64 = 0.9;

/// A lock is handed over only until this part of its expiry has passed: a sixteenth.
const HAND_OVER_PART: u32 = 16;

/// All options of a mutex.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) key_prefix: KeyPrefix,
    pub(crate) kind: Kind,
    pub(crate) timing: Timing,
    pub(crate) rounds: Rounds,
    pub(crate) retry: Retry,
    pub(crate) queueing: Queueing,
}

pub(crate) type KeyPrefix = Arc<str>;

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
        if self.key_prefix.len() > MAX_PREFIX_LEN {
            let len = self.key_prefix.len();
            return Err(ConfigError::option(
                "key_prefix",
                "at most 768 bytes long",
                &len,
            ));
        }
        Ok(())
    }

    /// How long after its acquisition a lock may be handed over. It is a small part of the expiry,
    /// so that most of the validity is left.
    pub(crate) fn hand_over_time(&self) -> Duration {
        let part = self.timing.expiry() / HAND_OVER_PART;
        self.queueing.max_hand_over_time.min(part)
    }

    /// The key for the nodes: prefix and name.
    pub(crate) fn key(&self, name: &Arc<str>) -> Result<Arc<str>, ConfigError> {
        if name.is_empty() {
            return Err(ConfigError::EmptyName);
        }
        let len = self.key_prefix.len() + name.len();
        if len > MAX_NAME_LEN {
            return Err(too_long(len));
        }
        let key: Arc<str> = if self.key_prefix.is_empty() {
            Arc::clone(name)
        } else {
            format!("{}{name}", self.key_prefix).into()
        };
        if is_reserved(&key) {
            let name = (&*key).into();
            return Err(ConfigError::ReservedName { name });
        }
        Ok(key)
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

/// The key of a permit, which has a number from 1.
pub(crate) fn permit_key(name: &str, number: usize) -> String {
    match number {
        1 => name.into(),
        _ => format!("{name}{PERMIT}{number}"),
    }
}

/// Whether a key is that of a counter or of a permit.
fn is_reserved(key: &str) -> bool {
    let is_permit = || {
        let number = key.rsplit_once(PERMIT).map(|(_, number)| number);
        number.is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|digit| digit.is_ascii_digit())
        })
    };
    is_counter(key) || is_permit()
}

const fn too_long(len: usize) -> ConfigError {
    ConfigError::NameTooLong {
        len,
        limit: MAX_NAME_LEN,
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
    use super::*;

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

    #[test]
    fn an_empty_or_too_long_name_is_refused() {
        let mut options = Options::default();
        let key = |options: &Options, name: &str| options.key(&name.into());
        assert!(matches!(key(&options, ""), Err(ConfigError::EmptyName)));
        assert!(key(&options, &"n".repeat(MAX_NAME_LEN)).is_ok());
        options.key_prefix = "p".into();
        assert!(matches!(
            key(&options, &"n".repeat(MAX_NAME_LEN)),
            Err(ConfigError::NameTooLong { len, .. }) if len == MAX_NAME_LEN + 1
        ));
        assert_eq!(&*key(&options, "name").unwrap(), "pname");
    }
}
