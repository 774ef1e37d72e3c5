//! The services that the locks of a [`Redsync`](crate::Redsync) use besides its nodes.

use std::sync::Arc;

use crate::{background::Background, metrics::LockMetrics};

/// The work in the background, and the figures of locks.
pub(crate) struct Services {
    pub(crate) background: Background,
    pub(crate) lock_metrics: Arc<LockMetrics>,
}

impl Services {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            background: Background::new(),
            lock_metrics: Arc::default(),
        })
    }
}
