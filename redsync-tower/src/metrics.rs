//! Counters and histograms through the [`metrics`](https://docs.rs/metrics) facade.
//!
//! The section "Metrics" of the crate docs has the table. A handle is made, and the metric described,
//! when a layer first needs it; a request then only adds to it. Without the feature nothing here does
//! anything.

#[cfg(feature = "metrics")]
pub(crate) use self::recorded::Metrics;
#[cfg(not(feature = "metrics"))]
pub(crate) use self::silent::Metrics;

#[cfg(feature = "metrics")]
mod recorded {
    use std::{
        array,
        sync::{Arc, OnceLock},
        time::Duration,
    };

    use ::metrics::{
        Counter, Histogram, Unit, counter, describe_counter, describe_histogram, histogram,
    };

    use crate::outcome::Outcome;

    const REQUESTS: &str = "redsync_tower_requests_total";
    const WAIT: &str = "redsync_tower_wait_seconds";
    const HOLD: &str = "redsync_tower_hold_seconds";

    /// The metrics of a layer and its clones.
    #[derive(Clone)]
    pub(crate) struct Metrics(Arc<Handles>);

    #[derive(Default)]
    struct Handles {
        requests: PerOutcome<Counter>,
        waits: PerOutcome<Histogram>,
        holds: OnceLock<Histogram>,
    }

    struct PerOutcome<H>([OnceLock<H>; Outcome::COUNT]);

    impl<H> PerOutcome<H> {
        fn get_or_init(&self, outcome: Outcome, make: impl FnOnce() -> H) -> &H {
            self.0[outcome as usize].get_or_init(make)
        }
    }

    impl<H> Default for PerOutcome<H> {
        fn default() -> Self {
            Self(array::from_fn(|_| OnceLock::new()))
        }
    }

    impl Metrics {
        pub(crate) fn new() -> Self {
            Self(Arc::default())
        }

        /// Counts a request at its end.
        pub(crate) fn request(&self, outcome: Outcome) {
            let requests = self.0.requests.get_or_init(outcome, || {
                let words = "Requests that needed a lock, by outcome";
                describe_counter!(REQUESTS, Unit::Count, words);
                counter!(REQUESTS, "outcome" => outcome.label())
            });
            requests.increment(1);
        }

        /// Records how long a request waited for its lock.
        pub(crate) fn wait(&self, outcome: Outcome, wait: Duration) {
            let waits = self.0.waits.get_or_init(outcome, || {
                let words = "Time for which a request waited for its lock, by outcome";
                describe_histogram!(WAIT, Unit::Seconds, words);
                histogram!(WAIT, "outcome" => outcome.label())
            });
            waits.record(wait);
        }

        /// Records how long a request held its lock.
        pub(crate) fn hold(&self, hold: Duration) {
            let holds = self.0.holds.get_or_init(|| {
                let words = "Time for which a request held its lock";
                describe_histogram!(HOLD, Unit::Seconds, words);
                histogram!(HOLD)
            });
            holds.record(hold);
        }
    }
}

#[cfg(not(feature = "metrics"))]
mod silent {
    use std::time::Duration;

    use crate::outcome::Outcome;

    #[derive(Clone)]
    pub(crate) struct Metrics;

    #[expect(clippy::unused_self, reason = "used with the feature")]
    impl Metrics {
        pub(crate) const fn new() -> Self {
            Self
        }

        pub(crate) const fn request(&self, _: Outcome) {}
        pub(crate) const fn wait(&self, _: Outcome, _: Duration) {}
        pub(crate) const fn hold(&self, _: Duration) {}
    }
}
