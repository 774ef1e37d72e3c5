//! Counters and histograms through the [`metrics`](https://docs.rs/metrics) facade: see the crate's
//! docs for the table. Without the feature nothing here does anything.
//!
//! Handles are made at the first use of each figure, and kept: looking a figure up by its labels
//! costs more than a lock does otherwise.

#[cfg(feature = "metrics")]
pub(crate) use self::recorded::*;
#[cfg(not(feature = "metrics"))]
pub(crate) use self::silent::*;

#[cfg(feature = "metrics")]
mod recorded;
#[cfg(not(feature = "metrics"))]
mod silent;
