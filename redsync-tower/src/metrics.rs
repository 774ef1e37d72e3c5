//! Counters and histograms through the [`metrics`](https://docs.rs/metrics) facade.
//!
//! The section "Metrics" of the crate docs has the table. A handle is made, and the metric
//! described, when a layer first needs it; a request then only adds to it. Without the feature
//! `metrics`, nothing is recorded.

#[cfg(feature = "metrics")]
pub(crate) use self::recorded::Metrics;
#[cfg(not(feature = "metrics"))]
pub(crate) use self::silent::Metrics;

#[cfg(feature = "metrics")]
mod recorded;
#[cfg(not(feature = "metrics"))]
mod silent;
