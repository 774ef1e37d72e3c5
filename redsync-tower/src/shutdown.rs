//! Sending away the requests that wait for their locks, when the service shuts down.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

pin_project! {
    /// What a request that may wait knows of the shutdown.
    #[project = ShutdownProj]
    pub(crate) enum Shutdown {
        /// The request does not wait, or the layer does not know of shutdowns.
        Unknown,
        Awaited {
            #[pin]
            begun: WaitForCancellationFutureOwned,
        },
        /// It had begun before the request asked for its lock, so the request does not wait.
        HadBegun,
    }
}

impl Shutdown {
    /// For a request that may wait.
    pub(crate) fn of(token: Option<&CancellationToken>) -> Self {
        match token {
            None => Self::Unknown,
            Some(token) if token.is_cancelled() => Self::HadBegun,
            Some(token) => Self::Awaited {
                begun: token.clone().cancelled_owned(),
            },
        }
    }

    pub(crate) const fn had_begun(&self) -> bool {
        matches!(self, Self::HadBegun)
    }

    /// Becomes ready when the shutdown begins while the request waits.
    pub(crate) fn poll_begun(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match self.project() {
            ShutdownProj::Awaited { begun } => begun.poll(cx),
            ShutdownProj::Unknown | ShutdownProj::HadBegun => Poll::Pending,
        }
    }
}
