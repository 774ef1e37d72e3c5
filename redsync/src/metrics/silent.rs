//! The same figures without the feature `metrics`: nothing is recorded.

use std::{future::Future, sync::Arc};

use tokio::time::Instant;

use crate::{LockError, Mode, NodeError, node::Operation};

pub(crate) const fn describe() {}

/// The locks of one [`Redsync`](crate::Redsync).
#[derive(Default)]
pub(crate) struct LockMetrics;

#[expect(clippy::unused_self, reason = "used with the feature")]
impl LockMetrics {
    pub(crate) const fn lost(&self, _: Mode) {}
    pub(crate) const fn held(&self, _: Mode, _: Instant) {}
}

/// A call that locks.
pub(crate) struct Acquisition;

#[expect(
    clippy::unused_self,
    clippy::needless_pass_by_ref_mut,
    reason = "used with the feature"
)]
impl Acquisition {
    pub(crate) const fn begin(_: &Arc<LockMetrics>, _: Mode) -> Self {
        Self
    }

    pub(crate) const fn end<T>(&mut self, _: &Result<T, LockError>) {}
}

/// The commands of one node.
pub(crate) struct NodeMetrics;

#[expect(clippy::unused_self, reason = "used with the feature")]
impl NodeMetrics {
    pub(crate) const fn new(_: &str) -> Self {
        Self
    }

    pub(crate) const fn answered(&self, _: Operation, _: Instant, _: Option<&NodeError>) {}
    pub(crate) const fn unanswered(&self, _: Operation, _: Instant) {}

    pub(crate) fn identity<F: Future>(&self, answer: F) -> F {
        answer
    }

    pub(crate) fn inspect<F: Future>(&self, answer: F) -> F {
        answer
    }
}
