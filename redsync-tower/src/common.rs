//! What a layer, its clones and its requests share.

use std::sync::Arc;

use redsync::Redsync;

use crate::{config::Config, live::Live, metrics::Metrics};

/// The options of a layer, its live state and its metrics.
///
/// A layer that is given another option afterwards has a `Common` of its own, with the same live
/// state, so its requests still count together with those of the original.
#[derive(Clone)]
pub(crate) struct Common {
    pub(crate) config: Config,
    pub(crate) live: Arc<Live>,
    pub(crate) metrics: Metrics,
}

impl Common {
    pub(crate) fn new(redsync: Redsync) -> Self {
        Self {
            config: Config::new(redsync),
            live: Arc::default(),
            metrics: Metrics::new(None),
        }
    }
}
