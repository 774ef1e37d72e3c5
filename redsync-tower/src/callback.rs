//! Functions that a layer calls when a request is refused, or its lock is lost.

use std::time::Duration;

use tracing::Span;

use crate::rejection::LockRejection;

/// A function that a layer calls when it refuses a request. See
/// [`RedlockLayer::on_refused`](crate::RedlockLayer::on_refused).
///
/// It is implemented for closures with these parameters.
pub trait OnRefused: Send + Sync + 'static {
    /// Is called on the task of the request, and should not block.
    ///
    /// `rejection` is what the response is made from, `wait` is how long the request has waited for its
    /// lock, and `span` is the span of the lock. The span is disabled if the request has no valid key.
    fn on_refused(&self, rejection: &LockRejection, wait: Duration, span: &Span);
}

impl<F> OnRefused for F
where
    F: Fn(&LockRejection, Duration, &Span) + Send + Sync + 'static,
{
    fn on_refused(&self, rejection: &LockRejection, wait: Duration, span: &Span) {
        self(rejection, wait, span);
    }
}

/// A function that a layer calls when it notices that the lock of a request is lost. See
/// [`RedlockLayer::on_lost`](crate::RedlockLayer::on_lost).
///
/// It is implemented for closures with these parameters.
pub trait OnLost: Send + Sync + 'static {
    /// Is called on the task of the request, and should not block. It is not called while a panic unwinds.
    ///
    /// `name` is the name of the lock as it is on the nodes, which can contain whatever the client has
    /// sent (for a log, use [`Printable`](redsync::Printable)), `hold` is how long the request has had
    /// its lock, and `span` is the span of the lock.
    fn on_lost(&self, name: &str, hold: Duration, span: &Span);
}

impl<F> OnLost for F
where
    F: Fn(&str, Duration, &Span) + Send + Sync + 'static,
{
    fn on_lost(&self, name: &str, hold: Duration, span: &Span) {
        self(name, hold, span);
    }
}
