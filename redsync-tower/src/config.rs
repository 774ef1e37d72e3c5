//! The options of a layer, grouped by what changes together.

mod holding;
mod locking;
mod responses;
mod waiting;

use std::fmt;

use redsync::Redsync;

pub use self::holding::{HoldUntil, OnLoss};
pub(crate) use self::{
    holding::Holding, locking::Locking, responses::Responses, waiting::WaitPolicy,
};
use crate::metrics::Metrics;

/// The options of a layer, shared by the layer, its clones and its requests.
#[derive(Clone)]
pub(crate) struct Config {
    pub(crate) locking: Locking,
    pub(crate) waiting: WaitPolicy,
    pub(crate) holding: Holding,
    pub(crate) responses: Responses,
    pub(crate) metrics: Metrics,
}

impl Config {
    pub(crate) fn new(redsync: Redsync) -> Self {
        Self {
            locking: Locking::new(redsync),
            waiting: WaitPolicy::default(),
            holding: Holding::default(),
            responses: Responses::default(),
            metrics: Metrics::new(),
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("locking", &self.locking)
            .field("waiting", &self.waiting)
            .field("holding", &self.holding)
            .field("responses", &self.responses)
            .finish_non_exhaustive()
    }
}
