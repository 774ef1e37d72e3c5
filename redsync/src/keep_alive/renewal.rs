//! One extension of a guard that is kept alive.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::schedule::KeptAlive;
use crate::{ExtendError, lease::Extension, observed::observed};

pin_project! {
    /// The extension of a guard, which does not keep the guard alive itself.
    pub(super) struct Renewal {
        kept: Weak<KeptAlive>,
        start: Instant,
        #[pin]
        extension: Extension,
    }
}

/// The result of a renewal.
pub(super) struct Renewed {
    kept: Weak<KeptAlive>,
    start: Instant,
    result: Result<(), ExtendError>,
}

impl Renewal {
    /// Begins to extend a lock that is due, unless it has been lost.
    pub(super) fn begin(kept: &Arc<KeptAlive>, now: Instant) -> Option<Self> {
        if kept.lease().is_lost() {
            kept.lease().report_loss();
            return None;
        }
        Some(Self {
            extension: Extension::within_validity(kept.lease()),
            kept: Arc::downgrade(kept),
            start: now,
        })
    }
}

impl Future for Renewal {
    type Output = Renewed;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Renewed> {
        let this = self.project();
        let result = ready!(this.extension.poll(cx));
        Poll::Ready(Renewed {
            kept: Weak::clone(this.kept),
            start: *this.start,
            result,
        })
    }
}

impl Renewed {
    /// Returns the guard and when its next extension is due, if there is to be one.
    pub(super) fn next(self) -> Option<(Arc<KeptAlive>, Instant)> {
        let kept = self.kept.upgrade()?;
        let times = kept.times();
        let next = match self.result {
            Ok(()) => times.after_success(self.start, Instant::now()),
            Err(error @ ExtendError::Failed(_)) => {
                let name = kept.lease().label();
                observed(|| tracing::debug!(%name, %error, "the lock was not extended"));
                times.after_failure(self.start)
            }
            Err(ExtendError::Lost(_)) => {
                kept.lease().report_loss();
                return None;
            }
        };
        // If the answers come late, a later extension is under way already. Its answers are given
        // as much time, so that each result does not add another extension to the load.
        let last = kept.last_start();
        let node_timeout = kept.lease().options().timing.node_timeout();
        let next = if self.start < last {
            next.max(times.without_result(last, node_timeout))
        } else {
            next
        };
        Some((kept, next))
    }
}
