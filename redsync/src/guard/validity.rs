//! Views of how long a lock is valid, for code that works under it.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::WaitForCancellationFutureOwned;

use crate::{FencingToken, lease::Lease};

/// A view of how long the lock of a [`Guard`](crate::Guard) is valid, for code that works under the
/// lock. It is cheap to clone, and can neither extend nor release the lock.
///
/// The validity also ends when the guard is released, dropped or taken apart. The view then reports
/// the lock as lost, so that remaining work can stop.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let redsync = redsync::Redsync::in_memory(3);
/// let guard = redsync.mutex("report").lock().await?;
/// let validity = guard.validity();
/// let rows = tokio::task::spawn_blocking(move || {
///     let mut rows = 0;
///     while rows < 100 && !validity.is_lost() {
///         // ... one more row ...
///         rows += 1;
///     }
///     rows
/// });
/// assert_eq!(rows.await?, 100);
/// guard.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Validity(Arc<Lease>);

impl Validity {
    pub(crate) const fn new(lease: Arc<Lease>) -> Self {
        Self(lease)
    }

    pub(crate) const fn lease(&self) -> &Arc<Lease> {
        &self.0
    }

    /// Returns the name that is locked. See [`Guard::name`](crate::Guard::name).
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.label().as_str()
    }

    /// Returns the fencing token. See [`Guard::fencing_token`](crate::Guard::fencing_token).
    #[must_use]
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.0.token()
    }

    /// Returns the instant up to which the lock is valid. See
    /// [`Guard::until`](crate::Guard::until).
    #[must_use]
    pub fn until(&self) -> Instant {
        self.0.until()
    }

    /// Returns how long the lock remains valid from now. See
    /// [`Guard::remaining`](crate::Guard::remaining).
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.until().saturating_duration_since(Instant::now())
    }

    /// Returns whether the validity has ended. See [`Guard::is_lost`](crate::Guard::is_lost).
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.0.is_lost()
    }

    /// Resolves when the validity ends. See [`Guard::lost`](crate::Guard::lost).
    ///
    /// # Cancel safety, panics
    ///
    /// As for [`Guard::lost`](crate::Guard::lost).
    pub fn lost(&self) -> Lost {
        Lost::new(Arc::clone(&self.0))
    }
}

impl fmt::Debug for Validity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Validity")
            .field("name", &self.name())
            .field("remaining", &self.remaining())
            .finish()
    }
}

pin_project! {
    /// The future of [`Guard::lost`](crate::Guard::lost).
    #[must_use = "futures do nothing unless polled"]
    pub struct Lost {
        lease: Arc<Lease>,
        #[pin]
        early: WaitForCancellationFutureOwned,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl Lost {
    pub(crate) fn new(lease: Arc<Lease>) -> Self {
        Self {
            early: lease.ended_early().clone().cancelled_owned(),
            lease,
            timer: None,
        }
    }
}

impl Future for Lost {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            let until = this.lease.until();
            if Instant::now() >= until || this.early.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            // An extension moves the end of the validity and notifies nobody: the timer fires at
            // the old end, and is then reset to the new one.
            match this.timer.as_mut().as_pin_mut() {
                Some(timer) if timer.deadline() == until => ready!(timer.poll(cx)),
                Some(timer) => timer.reset(until),
                None => this.timer.set(Some(sleep_until(until))),
            }
        }
    }
}

impl fmt::Debug for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lost")
            .field("name", &self.lease.label().as_str())
            .finish_non_exhaustive()
    }
}
