//! Counters and histograms through the [`metrics`](https://docs.rs/metrics) facade: see the crate's
//! docs for the table. Without the feature nothing here does anything.

use std::time::Duration;

#[cfg(feature = "metrics")]
use ::metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

#[cfg(feature = "metrics")]
const REQUESTS: &str = "redsync_tower_requests_total";
#[cfg(feature = "metrics")]
const WAIT: &str = "redsync_tower_wait_seconds";
#[cfg(feature = "metrics")]
const HOLD: &str = "redsync_tower_hold_seconds";

/// Says what the figures are.
pub(crate) fn describe() {
    #[cfg(feature = "metrics")]
    {
        describe_counter!(
            REQUESTS,
            Unit::Count,
            "Requests that needed a lock, by what came of them"
        );
        describe_histogram!(
            WAIT,
            Unit::Seconds,
            "Time for which a request waited for its lock"
        );
        describe_histogram!(
            HOLD,
            Unit::Seconds,
            "Time for which a request held its lock"
        );
    }
}

/// What came of a request that needed a lock.
pub(crate) fn request(outcome: &'static str) {
    #[cfg(feature = "metrics")]
    counter!(REQUESTS, "outcome" => outcome).increment(1);
    #[cfg(not(feature = "metrics"))]
    let _ = outcome;
}

/// For how long a request waited, and what for.
pub(crate) fn waited(outcome: &'static str, wait: Duration) {
    #[cfg(feature = "metrics")]
    histogram!(WAIT, "outcome" => outcome).record(wait);
    #[cfg(not(feature = "metrics"))]
    let _ = (outcome, wait);
}

/// For how long a request held its lock.
pub(crate) fn held(hold: Duration) {
    #[cfg(feature = "metrics")]
    histogram!(HOLD).record(hold);
    #[cfg(not(feature = "metrics"))]
    let _ = hold;
}
