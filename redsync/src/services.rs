//! The services that the locks of a [`Redsync`](crate::Redsync) use besides its nodes.

use std::sync::Arc;

use crate::{Mode, background::Background, metrics::LockMetrics};

/// The work in the background, the figures of locks, and the waiters that are notified of their
/// ends.
pub(crate) struct Services {
    pub(crate) background: Background,
    pub(crate) lock_metrics: Arc<LockMetrics>,
    pub(crate) waiting: Arc<dyn Waiting>,
}

/// The waiters of this process. They are above the locks, which know no more of them than this.
pub(crate) trait Waiting: Send + Sync {
    /// Notifies the waiters for these names that a lock of this mode has ended. This calls wakers,
    /// so no mutex may be locked.
    fn notify(&self, names: &[Arc<str>], mode: Mode);
}

impl Services {
    pub(crate) fn new(waiting: Arc<dyn Waiting>) -> Arc<Self> {
        Arc::new(Self {
            background: Background::new(),
            lock_metrics: Arc::default(),
            waiting,
        })
    }
}
