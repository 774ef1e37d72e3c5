//! What a mutex can be told, and the check that it can work.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use tokio::time::Instant;

use crate::{ConfigError, error::BoxError, node::Mode};

/// A year: far beyond any sensible expiry, and far from overflowing an `Instant` or Redis' clock.
const MAX_EXPIRY: Duration = Duration::from_secs(365 * 24 * 60 * 60);
const MIN_EXPIRY: Duration = Duration::from_millis(10);

pub(crate) const MAX_NAME_LEN: usize = 1024;

/// How the keys of counters end, which are not to be locked.
const RESERVED: &str = ":fence";

/// A lock is handed on only while this part of its expiry has not gone.
const SHORT_TURN: u32 = 16;

#[derive(Clone)]
pub(crate) struct Options {
    /// Whether they are known to work.
    pub(crate) checked: bool,
    pub(crate) key_prefix: Arc<str>,
    pub(crate) expiry: Duration,
    pub(crate) drift_factor: f64,
    pub(crate) min_validity: Option<Duration>,
    pub(crate) node_timeout: NodeTimeout,
    pub(crate) tries: u32,
    pub(crate) outage_tries: u32,
    pub(crate) retry_delay: RetryDelay,
    /// What owner values begin with.
    pub(crate) value_label: ValueLabel,
    pub(crate) fail_fast: bool,
    pub(crate) shuffled_nodes: bool,
    pub(crate) set_if_absent_on_extend: bool,
    pub(crate) mode: Mode,
    pub(crate) fencing: bool,
    pub(crate) max_hold: Option<Duration>,
    pub(crate) max_waiting: usize,
    /// How often a lock may be handed on, and for how long after it was acquired.
    pub(crate) hand_offs: u32,
    pub(crate) hand_off_time: Duration,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum NodeTimeout {
    Absolute(Duration),
    Factor(f64),
}

#[derive(Clone)]
pub(crate) enum RetryDelay {
    Uniform(Range<Duration>),
    Function(Arc<dyn Fn(u32) -> Duration + Send + Sync>),
}

type ValueLabel = Arc<dyn Fn() -> Result<String, BoxError> + Send + Sync>;

impl Default for Options {
    /// go-redsync's. The node time limit is what comes of its factor for its expiry.
    fn default() -> Self {
        Self {
            checked: false,
            key_prefix: "".into(),
            expiry: Duration::from_secs(8),
            drift_factor: 0.01,
            min_validity: None,
            node_timeout: NodeTimeout::Absolute(Duration::from_millis(400)),
            tries: 32,
            outage_tries: u32::MAX,
            retry_delay: RetryDelay::Uniform(Duration::from_millis(50)..Duration::from_millis(250)),
            value_label: Arc::new(|| Ok(String::new())),
            fail_fast: true,
            shuffled_nodes: false,
            set_if_absent_on_extend: false,
            mode: Mode::Exclusive,
            fencing: false,
            max_hold: None,
            max_waiting: usize::MAX,
            hand_offs: 100_000,
            hand_off_time: Duration::from_millis(50),
        }
    }
}

impl Options {
    pub(crate) fn checked_default() -> Arc<Self> {
        Arc::new(Self {
            checked: true,
            ..Self::default()
        })
    }

    /// The expiry in the whole milliseconds that nodes are sent.
    pub(crate) const fn expiry(&self) -> Duration {
        Duration::from_millis(self.expiry.as_millis() as u64)
    }

    /// What is taken off a time that nodes keep a key for: a part of it, for clocks that run at
    /// different rates, and 2 ms for the precision of Redis' expiries (redis.io, "Distributed
    /// Locks with Redis").
    pub(crate) fn drift(&self, kept: Duration) -> Duration {
        kept.mul_f64(self.drift_factor) + Duration::from_millis(2)
    }

    /// Up to when a lock is held that nodes keep for `kept` from no earlier than `start`.
    pub(crate) fn until_from(&self, start: Instant, kept: Duration) -> Instant {
        start + kept.saturating_sub(self.drift(kept))
    }

    pub(crate) fn min_validity(&self) -> Duration {
        self.min_validity.unwrap_or(self.expiry() / 10)
    }

    /// How long a node's answer is waited for.
    pub(crate) fn node_timeout(&self) -> Duration {
        match self.node_timeout {
            NodeTimeout::Absolute(limit) => limit,
            NodeTimeout::Factor(factor) => self.expiry().mul_f64(factor),
        }
        .min(self.expiry())
    }

    pub(crate) fn retry_delay(&self, tries: u32) -> Duration {
        match &self.retry_delay {
            RetryDelay::Uniform(range) if range.is_empty() => range.start,
            RetryDelay::Uniform(range) => {
                range.start + (range.end - range.start).mul_f64(fastrand::f64())
            }
            RetryDelay::Function(delay) => delay(tries),
        }
    }

    /// Whether they can work. Asked at each lock, and answered once.
    pub(crate) fn check(&self) -> Result<(), ConfigError> {
        if self.checked {
            return Ok(());
        }
        let option = |option, must, is: &dyn fmt::Debug| {
            Err(ConfigError::Option {
                option,
                must,
                is: format!("{is:?}").into(),
            })
        };
        if self.expiry < MIN_EXPIRY || self.expiry > MAX_EXPIRY {
            return option("expiry", "from 10 ms to a year", &self.expiry);
        }
        if !(0.0..1.0).contains(&self.drift_factor) {
            return option("drift_factor", "at least 0 and below 1", &self.drift_factor);
        }
        match self.node_timeout {
            NodeTimeout::Absolute(limit) if limit.is_zero() => {
                return option("node_timeout", "above zero", &limit);
            }
            NodeTimeout::Factor(factor) if !(factor > 0.0 && factor <= 1.0) => {
                return option("timeout_factor", "above 0 and at most 1", &factor);
            }
            // Though the factor is above zero.
            _ if self.node_timeout() < Duration::from_micros(1) => {
                return option("timeout_factor", "larger", &self.node_timeout);
            }
            _ => {}
        }
        if self.tries == 0 {
            return option("tries", "at least 1", &self.tries);
        }
        if self.outage_tries == 0 {
            return option("outage_tries", "at least 1", &self.outage_tries);
        }
        if self.fencing && self.mode == Mode::Shared {
            return option("mode", "exclusive for a fenced lock", &self.mode);
        }
        if self.key_prefix.len() >= MAX_NAME_LEN {
            return Err(ConfigError::NameTooLong {
                len: self.key_prefix.len(),
            });
        }
        let (expiry, drift, min_validity) = (
            self.expiry(),
            self.drift(self.expiry()),
            self.min_validity(),
        );
        if let Some(max_hold) = self.max_hold.filter(|max_hold| *max_hold <= min_validity) {
            return option("max_hold", "longer than the least validity", &max_hold);
        }
        if expiry.saturating_sub(drift) <= min_validity {
            return Err(ConfigError::NoValidity {
                expiry,
                drift,
                min_validity,
            });
        }
        Ok(())
    }

    /// For how long after its acquisition a lock may be handed on, so that little of its validity has
    /// gone.
    pub(crate) fn turn(&self) -> Duration {
        self.hand_off_time.min(self.expiry() / SHORT_TURN)
    }

    /// The key that nodes are sent: prefix and name.
    pub(crate) fn key(&self, name: &Arc<str>) -> Result<Arc<str>, ConfigError> {
        if name.is_empty() {
            return Err(ConfigError::EmptyName);
        }
        if name.ends_with(RESERVED) {
            return Err(ConfigError::ReservedName {
                name: (&**name).into(),
            });
        }
        let len = self.key_prefix.len() + name.len();
        if len > MAX_NAME_LEN {
            return Err(ConfigError::NameTooLong { len });
        }
        Ok(if self.key_prefix.is_empty() {
            Arc::clone(name)
        } else {
            format!("{}{name}", self.key_prefix).into()
        })
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("key_prefix", &self.key_prefix)
            .field("expiry", &self.expiry)
            .field("drift_factor", &self.drift_factor)
            .field("min_validity", &self.min_validity())
            .field("node_timeout", &self.node_timeout)
            .field("tries", &self.tries)
            .field("fail_fast", &self.fail_fast)
            .field("shuffled_nodes", &self.shuffled_nodes)
            .field("set_if_absent_on_extend", &self.set_if_absent_on_extend)
            .field("mode", &self.mode)
            .field("fencing", &self.fencing)
            .field("max_hold", &self.max_hold)
            .field("max_waiting", &self.max_waiting)
            .field("hand_offs", &self.hand_offs)
            .field("hand_off_time", &self.hand_off_time)
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
    fn the_defaults_work() {
        Options::default().check().unwrap();
    }

    #[test]
    fn what_cannot_work_is_refused() {
        let secs = Duration::from_secs;
        let factor = |factor| NodeTimeout::Factor(factor);
        for (option, result) in [
            ("expiry", with(|o| o.expiry = Duration::from_millis(9))),
            ("expiry", with(|o| o.expiry = Duration::MAX)),
            ("drift_factor", with(|o| o.drift_factor = 1.0)),
            ("drift_factor", with(|o| o.drift_factor = -0.1)),
            ("drift_factor", with(|o| o.drift_factor = f64::NAN)),
            ("tries", with(|o| o.tries = 0)),
            ("max_hold", with(|o| o.max_hold = Some(secs(0)))),
            ("outage_tries", with(|o| o.outage_tries = 0)),
            (
                "node_timeout",
                with(|o| o.node_timeout = NodeTimeout::Absolute(secs(0))),
            ),
            ("timeout_factor", with(|o| o.node_timeout = factor(0.0))),
            (
                "timeout_factor",
                with(|o| o.node_timeout = factor(f64::NAN)),
            ),
            ("timeout_factor", with(|o| o.node_timeout = factor(1.1))),
            ("timeout_factor", with(|o| o.node_timeout = factor(1e-12))),
        ] {
            match result {
                Err(ConfigError::Option {
                    option: refused, ..
                }) => assert_eq!(refused, option),
                other => panic!("{option}: {other:?}"),
            }
        }
        assert!(matches!(
            with(|o| o.min_validity = Some(secs(8))),
            Err(ConfigError::NoValidity { .. })
        ));
    }

    #[test]
    fn a_name_is_neither_empty_nor_huge() {
        let mut options = Options::default();
        let key = |options: &Options, name: &str| options.key(&name.into());
        assert!(matches!(key(&options, ""), Err(ConfigError::EmptyName)));
        assert!(key(&options, &"n".repeat(MAX_NAME_LEN)).is_ok());
        options.key_prefix = "p".into();
        assert!(matches!(
            key(&options, &"n".repeat(MAX_NAME_LEN)),
            Err(ConfigError::NameTooLong { len }) if len == MAX_NAME_LEN + 1
        ));
        assert_eq!(&*key(&options, "name").unwrap(), "pname");
    }

    #[test]
    fn the_expiry_is_cut_to_whole_milliseconds_before_drift_is_taken_off() {
        let options = Options {
            expiry: Duration::from_micros(1_000_999),
            ..Options::default()
        };
        assert_eq!(options.expiry(), Duration::from_millis(1000));
        assert_eq!(options.drift(options.expiry()), Duration::from_millis(12));
        let start = Instant::now();
        let until = options.until_from(start, options.expiry());
        assert_eq!(until - start, Duration::from_millis(988));
    }

    #[test]
    fn the_node_time_limit_is_capped_by_the_expiry() {
        let mut options = Options {
            expiry: Duration::from_millis(100),
            ..Options::default()
        };
        assert_eq!(options.node_timeout(), Duration::from_millis(100));
        options.node_timeout = NodeTimeout::Factor(0.05);
        assert_eq!(options.node_timeout(), Duration::from_millis(5));
    }

    #[test]
    fn the_default_delay_is_spread_over_its_range() {
        let options = Options::default();
        let delays: Vec<_> = (1..200).map(|tries| options.retry_delay(tries)).collect();
        let range = Duration::from_millis(50)..Duration::from_millis(250);
        assert!(delays.iter().all(|delay| range.contains(delay)));
        assert!(
            delays
                .iter()
                .any(|delay| *delay < Duration::from_millis(100))
        );
        assert!(
            delays
                .iter()
                .any(|delay| *delay > Duration::from_millis(200))
        );
    }
}
