//! The guard: a lock that is held.

mod lost_token;
mod parts;
mod release;
mod validity;

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::lost_token::LostToken;
pub use self::{
    parts::{GuardParts, Resume},
    release::{Release, Released},
    validity::{Lost, Validity},
};
use crate::{
    DrainGuard, ExtendError, FencingToken, OwnerValue, VerifyError,
    common::Common,
    keep_alive::{Keeper, KeptAlive},
    lease::{Extension, Lease},
    queue::OwnedLease,
    quorum::tally::Verdict,
};

/// A lock that is held: what [`Mutex::lock`](crate::Mutex::lock) returns.
///
/// The lock is valid [`until`](Self::until) an instant, which [`extend`](Self::extend) and
/// [`keep_alive`](Self::keep_alive) move further into the future. When that instant passes, the
/// lock is *lost*: nodes may give it to another holder, and work under it must stop.
/// [`lost`](Self::lost) resolves at that moment.
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
///     Released::AlreadyLost => eprintln!("another holder may have worked at the same time"),
/// }
/// # Ok(())
/// # }
/// # async fn work() {}
/// ```
#[must_use = "a guard that is dropped releases the lock"]
pub struct Guard {
    kept_alive: Option<Arc<KeptAlive>>,
    lost_token: Option<LostToken>,
    owned: OwnedLease,
    keeper: Keeper,
    /// Dropped after the lease, so that a drain does not miss the release.
    drain_guard: Option<DrainGuard>,
}

impl Guard {
    pub(crate) fn new(owned: OwnedLease, common: &Common) -> Self {
        Self {
            kept_alive: None,
            lost_token: None,
            owned,
            keeper: common.keeper.clone(),
            drain_guard: None,
        }
    }

    pub(crate) const fn lease(&self) -> &Arc<Lease> {
        self.owned.lease()
    }

    /// Returns the name that is locked, with its prefix: the key on the nodes. Several names are
    /// separated by `, `.
    #[must_use]
    pub fn name(&self) -> &str {
        self.lease().label().as_str()
    }

    /// Exposes the owner value, which proves that this guard holds the lock. It is a credential.
    /// (go-redsync's `Value`.)
    ///
    /// A hand-over keeps the owner value, so anyone who knows it could release the lock of the next
    /// holder. Therefore, once the value has been exposed, this guard's lock is always released,
    /// and never [handed over](crate::Mutex::with_hand_over) to the next waiter of this process.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let guard = redsync.mutex("order:42").lock().await?;
    /// // For a log, use the fingerprint.
    /// println!("held as {}", guard.expose_value().fingerprint());
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn expose_value(&self) -> &OwnerValue {
        self.lease().expose_value()
    }

    /// Returns the fencing token, if the lock was acquired by a
    /// [fenced](crate::Mutex::with_fencing) mutex, or resumed from the parts of such a lock.
    ///
    /// The token is larger than that of every earlier acquisition of the name. A resource that
    /// receives it with each write can refuse smaller ones: see [`fence`](crate::fence).
    #[must_use]
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.lease().token()
    }

    /// Returns how many attempts it took to acquire the lock, including the one that succeeded.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.lease().attempt()
    }

    /// Returns the instant up to which the lock is valid, on this process's monotonic clock.
    ///
    /// This clock may stop while the machine is suspended (on Linux it does), so after a suspension
    /// a process can believe that it holds a lock that has expired. A [fencing
    /// token](Self::fencing_token) protects against that.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.lease().until()
    }

    /// Returns how long the lock remains valid from now, unless it is extended. Zero if it is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.until().saturating_duration_since(Instant::now())
    }

    /// Returns whether the lock is lost: whether its validity has ended.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.lease().is_lost()
    }

    /// Resolves when the lock is lost.
    ///
    /// A local timer fires at [`until`](Self::until), and follows that instant when the lock is
    /// extended. The future resolves earlier if an extension, or [`verify`](Self::verify), finds
    /// that the nodes that may still keep the key for this guard are too few for a majority.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let guard = redsync.mutex("order:42").lock().await?;
    /// // Nothing extends the lock, so its validity ends.
    /// guard.lost().await;
    /// assert!(guard.is_lost());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    ///
    /// # Panics
    ///
    /// The future panics if it is polled outside of a tokio runtime with time enabled.
    pub fn lost(&self) -> Lost {
        Lost::new(Arc::clone(self.lease()))
    }

    /// Returns a token that is cancelled when the lock is [lost](Self::lost), and when the guard is
    /// released, dropped or taken apart: for tasks that must not continue without the lock. It is
    /// also cancelled when the runtime ends on which this was first called, since nobody would
    /// notice the loss after that.
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
    /// Panics outside of a tokio runtime.
    pub fn lost_token(&mut self) -> CancellationToken {
        let lease = self.owned.lease();
        self.lost_token
            .get_or_insert_with(|| LostToken::new(lease))
            .child()
    }

    /// Returns a view of how long the lock is valid. The view can neither extend nor release it.
    #[must_use]
    pub fn validity(&self) -> Validity {
        Validity::new(Arc::clone(self.lease()))
    }

    /// Extends the lock: it is then valid for a whole expiry (less drift) from the time of this
    /// call.
    ///
    /// Several extensions may run at the same time. No extension shortens the validity.
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
    /// * [`ExtendError::Lost`] if the validity ended before or during the call, or if the nodes
    ///   that may still keep the key for this guard are too few for a majority. A lock that is lost
    ///   stays lost.
    /// * [`ExtendError::Failed`] if too few nodes confirmed in time. The lock is valid as long as
    ///   before, and can be extended again.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the validity stays as it was, though some nodes may keep the key
    /// for longer. The lock can be extended again.
    #[doc(alias("renew", "refresh"))]
    pub async fn extend(&self) -> Result<(), ExtendError> {
        Extension::within_node_timeout(self.lease()).await
    }

    /// Extends the lock in the background for as long as the guard lives, or until the lock is
    /// lost. A second call has no effect.
    ///
    /// The lock is extended whenever a third of the expiry has passed. After a failure, the
    /// extension is repeated after a twelfth, or sooner if little validity is left.
    ///
    /// ```
    /// # use std::time::Duration;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let mut guard = redsync.mutex("order:42").lock().await?;
    /// guard.keep_alive();
    /// tokio::time::sleep(Duration::from_secs(60)).await; // longer than the expiry of 8 s
    /// assert!(!guard.is_lost());
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// One task extends all guards of a [`Redsync`](crate::Redsync). The first call in a process
    /// starts a thread, `redsync-keeper`, which wakes this task. So on a multi-thread runtime the
    /// task does not depend on the thread that works under the lock, and that thread may block for
    /// longer than the expiry. On a current-thread runtime, no task runs while the thread is
    /// blocked, so the lock may be lost: run blocking work in [`tokio::task::spawn_blocking`].
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    #[doc(alias("auto_extend", "watchdog"))]
    pub fn keep_alive(&mut self) {
        if self.kept_alive.is_none() {
            self.kept_alive = Some(self.keeper.keep(self.owned.lease()));
        }
    }

    /// Makes [`Redsync::drain`](crate::Redsync::drain) wait until this lock has been released. Use
    /// it if a shutdown has to wait for the work under the lock.
    ///
    /// By default, a drain waits for releases that have begun, and not for guards that are still in
    /// use. (For code that has no guard yet, see
    /// [`Redsync::drain_guard`](crate::Redsync::drain_guard).)
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let mut guard = redsync.mutex("report").lock().await?;
    /// guard.keep_alive();
    /// guard.delay_drain();
    /// tokio::spawn(async move {
    ///     // ... write the report ...
    ///     drop(guard);
    /// });
    /// redsync.drain().await; // waits for the report
    /// # assert!(redsync.mutex("report").try_lock().await.is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn delay_drain(&mut self) {
        self.drain_guard = Some(self.lease().drain_guard());
    }

    /// Asks the nodes whether a majority of them keeps the lock for this guard. (go-redsync's
    /// `Valid`.)
    ///
    /// If a majority does not, the lock is [lost](Self::lost).
    ///
    /// The answer describes the past by the time it arrives. To decide whether to continue, use
    /// [`remaining`](Self::remaining) instead: it is a promise, and asks no node.
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
    /// A [`VerifyError`] if too few nodes answered to decide. The lock is valid as long as before.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    #[doc(alias = "valid")]
    pub async fn verify(&self) -> Result<bool, VerifyError> {
        let kept = self.lease().verify().await;
        match kept.verdict {
            Verdict::Granted => Ok(true),
            Verdict::Refused => {
                self.lease().lose(kept.votes);
                Ok(false)
            }
            Verdict::Divided | Verdict::Unavailable => Err(VerifyError(kept.votes)),
        }
    }

    /// Releases the lock, and returns whether it was held to the end. (go-redsync's `Unlock`.)
    ///
    /// It waits until a majority of the nodes has answered, at most for the
    /// [node time limit](crate::Mutex::with_node_timeout). The other nodes are released in the
    /// background.
    ///
    /// If this process has waiters for the lock, it may be [handed
    /// over](crate::Mutex::with_hand_over) to the first of them instead, at once and without a
    /// message to the nodes.
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
    /// decide.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, even before it was polled, the release continues in the
    /// background.
    #[doc(alias = "unlock")]
    pub fn release(self) -> Release {
        let Self {
            kept_alive,
            lost_token,
            owned,
            drain_guard,
            ..
        } = self;
        drop(kept_alive);
        // Its tokens are cancelled before anyone else can acquire the lock.
        drop(lost_token);
        Release::start(owned, drain_guard)
    }

    /// Takes the guard apart without releasing the lock. The lock stays until it expires, or until
    /// somebody [resumes](crate::Mutex::resume) it. Nothing extends it meanwhile.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let redsync = redsync::Redsync::in_memory(3);
    /// let parts = redsync.mutex("order:42").lock().await?.into_parts();
    /// assert_eq!(parts.names, ["order:42"]);
    /// let guard = redsync.mutex("order:42").resume(parts).await?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// A command of this guard may still be under way to a slow node: the acquisition, or an
    /// extension that [sets missing keys](crate::Mutex::with_set_if_absent_on_extend). If the next
    /// guard releases the lock before that command arrives, it repeats the release on that node in
    /// the background, up to the [node time limit](crate::Mutex::with_node_timeout) and a second
    /// after the lock was resumed. If the command arrives later still, the node keeps the key until
    /// it expires.
    #[must_use = "without its parts, the lock can be neither extended nor released"]
    pub fn into_parts(self) -> GuardParts {
        let entry = self.lease().entry();
        let parts = GuardParts {
            names: entry.names.iter().map(|name| (**name).into()).collect(),
            value: entry.value.clone(),
            mode: entry.mode,
            fencing_token: self.fencing_token(),
            remaining: self.remaining(),
        };
        drop(self.kept_alive);
        self.owned.leave();
        parts
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
