//! The options of a layer, grouped by what changes together.

mod holding;
mod locking;
mod naming;
mod observing;
mod responses;
mod waiting;

use redsync::Redsync;

pub use self::holding::{HoldUntil, OnLoss};
pub(crate) use self::{
    holding::Holding,
    locking::Locking,
    observing::Observing,
    responses::Responses,
    waiting::{PendingLimits, WaitPolicy},
};

/// The options of a layer.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    pub(crate) locking: Locking,
    pub(crate) waiting: WaitPolicy,
    pub(crate) holding: Holding,
    pub(crate) responses: Responses,
    pub(crate) observing: Observing,
}

impl Config {
    pub(crate) fn new(redsync: Redsync) -> Self {
        Self {
            locking: Locking::new(redsync),
            waiting: WaitPolicy::default(),
            holding: Holding::default(),
            responses: Responses::default(),
            observing: Observing::default(),
        }
    }
}
