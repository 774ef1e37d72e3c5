//! A lock that is held.

mod parts;
mod release;
mod validity;

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::AbortOnDropHandle,
};

pub use self::{
    parts::{GuardParts, Resume},
    release::{Release, Released},
    validity::{Lost, Validity},
};
use crate::{
    ExtendError, FencingToken, LockError, OwnerValue,
    keep_alive::KeptAlive,
    lease::{Extension, Lease},
    queue::hand_over::Holding,
    quorum::tally::Verdict,
};

/// A lock that is held: what [`Mutex::lock`](crate::Mutex::lock) returns.
///
/// The lock is valid [`until`](Self::until) an instant, which [`extend`](Self::extend) and
/// [`keep_alive`](Self::keep_alive) move on. When that instant passes, the lock is *lost*: nodes may
/// give it to another, and work under it must stop. [`lost`](Self::lost) resolves at that moment.
///
/// Dropping the guard releases the lock in the background. [`release`](Self::release) waits for the
/// nodes, and says whether the lock was held to the end.
///
/// # Example
///
/// ```
/// use std::time::Duration;
/// use redsync::{Redsync, Released};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let redsync = Redsync::in_memory(3);
/// let mut guard = redsync.mutex("order:42").lock().await?;
/// guard.keep_alive();
///
/// tokio::select! {
///     () = work() => {}
///     () = guard.lost() => return Err("lost the lock; the work is abandoned".into()),
/// }
///
/// match guard.release().await? {
///     Released::Held => {}
///     Released::AlreadyLost => eprintln!("the work may have met that of another"),
/// }
/// # Ok(())
/// # }
/// # async fn work() {}
/// ```
#[must_use = "a guard that is dropped releases the lock"]
pub struct Guard {
    kept_alive: Option<Arc<KeptAlive>>,
    held: Option<HeldToken>,
    holding: Holding,
}

/// A token that is cancelled at the latest when this is dropped.
struct HeldToken {
    token: DropGuard,
    _watch: AbortOnDropHandle<()>,
}

impl Guard {
    pub(crate) const fn new(holding: Holding) -> Self {
        Self {
            kept_alive: None,
            held: None,
            holding,
        }
    }

    pub(crate) const fn lease(&self) -> &Arc<Lease> {
        self.holding.lease()
    }

    /// The name that is locked: the key on the nodes, with its prefix. Several are separated by
    /// `, `.
    #[must_use]
    pub fn name(&self) -> &str {
        self.lease().label()
    }

    /// Makes the owner value known: the value that proves the ownership, and a credential.
    ///
    /// Anyone who has it could release the lock of the next holder with it. So the lock of this
    /// guard is released when it is given up, and never
    /// [handed over](crate::Mutex::with_hand_over) to the next waiter of this process.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let guard = redsync.mutex("order:42").lock().await?;
    /// // For a log line, the fingerprint is enough.
    /// println!("held as {}", guard.expose_value().fingerprint());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn expose_value(&self) -> &OwnerValue {
        self.lease().expose_value()
    }

    /// The number that is larger than that of every earlier acquisition of the name, if the lock was
    /// acquired by a [fenced](crate::Mutex::with_fencing) mutex (or resumed with its parts). A
    /// resource that is sent the number can refuse smaller ones: see [`fence`](crate::fence).
    #[must_use]
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.lease().token()
    }

    /// How many attempts it took to get the lock, including the one that succeeded.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.lease().attempt()
    }

    /// The instant up to which the lock is held, on this process's monotonic clock.
    ///
    /// A machine that is suspended may stop that clock (on Linux it does), so a process that wakes
    /// up can believe in a lock that has expired. A fencing token is the way to be safe.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.lease().until()
    }

    /// How long the lock is held from now, if it is not extended; zero when it is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.until().saturating_duration_since(Instant::now())
    }

    /// Whether the validity has ended.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lease().is_lost()
    }

    /// Resolves when the validity ends: at [`until`](Self::until), by a local timer, wherever that
    /// instant has been moved to; and at once when an extension learns that a majority of the nodes
    /// can no longer hold the lock for this guard.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub fn lost(&self) -> Lost {
        Lost::new(Arc::clone(self.lease()))
    }

    /// A token that is cancelled when the lock is [`lost`](Self::lost), and when the guard is
    /// released, dropped or taken apart: for tasks that must not go on without the lock.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let mut guard = redsync.mutex("order:42").lock().await?;
    /// let lost = guard.lost_token();
    /// let job = tokio::spawn(async move { lost.run_until_cancelled(work()).await });
    /// # drop(job.await);
    /// # Ok(())
    /// # }
    /// # async fn work() {}
    /// ```
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn lost_token(&mut self) -> CancellationToken {
        let held = self.held.get_or_insert_with(|| {
            let token = CancellationToken::new();
            let (cancelled, lost) = (token.clone(), Lost::new(Arc::clone(self.holding.lease())));
            let watch = tokio::spawn(async move {
                lost.await;
                cancelled.cancel();
            });
            HeldToken {
                token: token.drop_guard(),
                _watch: AbortOnDropHandle::new(watch),
            }
        });
        // A child: cancelling it cancels nobody else's.
        held.token.token().child_token()
    }

    /// A view of how long the lock is held, which can neither extend nor release it.
    #[must_use]
    pub fn validity(&self) -> Validity {
        Validity::new(Arc::clone(self.lease()))
    }

    /// Extends the lock: it is held for an expiry (less drift) from the time of this call.
    ///
    /// Extensions may run side by side. A later end of the validity is never replaced by an earlier
    /// one.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let guard = redsync.mutex("order:42").lock().await?;
    /// let before = guard.until();
    /// guard.extend().await?;
    /// assert!(guard.until() > before);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ExtendError::Lost`] if the validity has ended, before or during the call, or if too many
    /// nodes say that the key is not this guard's for the others to be a majority. What is lost
    /// stays lost. [`ExtendError::Failed`] if too few nodes confirmed in time: the lock is held as
    /// long as before, and it makes sense to try again.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, keys may live longer on some nodes, and the validity stays as it
    /// was. Nothing is lost by trying again.
    pub async fn extend(&self) -> Result<(), ExtendError> {
        Extension::within_node_timeout(self.lease()).await
    }

    /// Extends the lock in the background for as long as the guard lives: at a third of the expiry,
    /// and after a failure at every twelfth, until the lock is lost. A second call changes nothing.
    ///
    /// One task extends all guards of a [`Redsync`](crate::Redsync). On a multi-thread runtime it
    /// does not depend on the thread that works under the lock: that thread may block for longer
    /// than the expiry. On a current-thread runtime nothing runs while the thread is blocked, and the
    /// lock is lost; blocking work belongs into [`tokio::task::spawn_blocking`] there.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn keep_alive(&mut self) {
        if self.kept_alive.is_none() {
            let keeper = &self.holding.shared().keeper;
            self.kept_alive = Some(keeper.keep(self.holding.lease()));
        }
    }

    /// Asks the nodes whether a majority of them holds the lock for this guard. (go-redsync's
    /// `Valid`.)
    ///
    /// The answer is about the past by the time it arrives. To know whether to go on, ask
    /// [`remaining`](Self::remaining), which is a promise and costs nothing.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let guard = redsync.mutex("order:42").lock().await?;
    /// assert!(guard.verify().await?);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`LockError::Unavailable`] if too few nodes answered to say.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn verify(&self) -> Result<bool, LockError> {
        let kept = self.lease().inspect().await;
        match kept.verdict {
            Verdict::Granted => Ok(true),
            Verdict::Refused => Ok(false),
            Verdict::Unknown => Err(LockError::Unavailable(kept.votes)),
        }
    }

    /// Releases the lock, and says whether it was held up to now. (go-redsync's `Unlock`.)
    ///
    /// It waits for a majority of the nodes, at most for the
    /// [node time limit](crate::Mutex::with_node_timeout). The others are released in the
    /// background.
    ///
    /// If others wait for the lock in this process, it may be
    /// [handed over](crate::Mutex::with_hand_over) to the first of them instead: at once, and
    /// without asking the nodes.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// use redsync::Released;
    ///
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let guard = redsync.mutex("order:42").lock().await?;
    /// assert_eq!(guard.release().await?, Released::Held);
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// The future resolves to a [`ReleaseError`](crate::ReleaseError) if too few nodes answered to
    /// say.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, even before it was polled, the release goes on in the background.
    pub fn release(self) -> Release {
        let Self {
            kept_alive,
            held,
            holding,
        } = self;
        drop(kept_alive);
        // Before another may have the lock.
        drop(held);
        Release::start(holding)
    }

    /// Gives up the guard without releasing the lock, which stays until it expires, or until
    /// somebody [resumes](crate::Mutex::resume) it. Nobody extends it meanwhile.
    ///
    /// What is still under way can set a key after the next holder has released it, which is then
    /// left to its expiry on that node: the acquisition on a slow node, or an extension
    /// [that heals](crate::Mutex::with_set_if_absent_on_extend).
    #[must_use = "the parts are what the lock can be extended or released with"]
    pub fn into_parts(self) -> GuardParts {
        let entry = self.lease().entry();
        let parts = GuardParts {
            names: entry.names.iter().map(|name| (**name).into()).collect(),
            value: entry.value.as_str().to_owned(),
            mode: entry.mode,
            fencing_token: self.fencing_token(),
            remaining: self.remaining(),
        };
        drop(self.kept_alive);
        self.holding.leave();
        parts
    }

    /// Gives up the guard without releasing the lock, and returns its owner value: as
    /// [`into_parts`](Self::into_parts), for callers that need only the value.
    #[must_use = "the value is what the lock can be extended or released with"]
    pub fn into_value(self) -> OwnerValue {
        self.into_parts().value.into()
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guard")
            .field("name", &self.name())
            .field("remaining", &self.remaining())
            .field("keep_alive", &self.kept_alive.is_some())
            .finish_non_exhaustive()
    }
}
