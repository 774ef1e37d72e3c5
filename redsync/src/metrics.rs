//! Counters and histograms through the [`metrics`](https://docs.rs/metrics) facade. The crate docs
//! have a table of them. Without the feature `metrics`, nothing is recorded.
//!
//! The handle of each figure is made once, when the figure is first recorded. Looking a figure up
//! by its labels each time would cost more than the rest of a lock.

#[cfg(feature = "metrics")]
pub(crate) use self::recorded::*;
#[cfg(not(feature = "metrics"))]
pub(crate) use self::silent::*;

#[cfg(feature = "metrics")]
mod recorded;
#[cfg(not(feature = "metrics"))]
mod silent;
