//! A lock that is held.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, mpsc},
    task::{Context, Poll, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::{
    sync::{CancellationToken, DropGuard, WaitForCancellationFutureOwned},
    task::AbortOnDropHandle,
};

use crate::{
    ExtendError, FencingToken, GuardParts, LockError, Mutex, OwnerValue, ReleaseError,
    claim::{Claim, Holding, Releasing},
    keepalive,
    quorum::Verdict,
};

/// A lock that is held: what [`Mutex::lock`](crate::Mutex::lock) returns.
///
/// It is valid [`until`](Self::until) an instant, which [`extend`](Self::extend) and
/// [`keep_alive`](Self::keep_alive) move on. When that passes, the lock is *lost*: nodes may give
/// it to another, and work under it must stop. [`lost`](Self::lost) tells when.
///
/// Dropping the guard releases the lock in the background; [`release`](Self::release) waits, and
/// tells whether the lock was held to the end.
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
    // Dropped before `holding`, though the order does not matter: an extension that is under way
    // stays ahead of the release on its lane, and none is sent after a release has begun.
    keep_alive: Option<AbortOnDropHandle<()>>,
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
            keep_alive: None,
            held: None,
            holding,
        }
    }

    pub(crate) const fn claim(&self) -> &Arc<Claim> {
        self.holding.claim()
    }

    /// The name that is locked: the key on the nodes, with its prefix. Several are separated by
    /// `, `.
    #[must_use]
    pub fn name(&self) -> &str {
        self.claim().name()
    }

    /// The value that proves the ownership: a credential.
    ///
    /// A lock whose value was asked for is released when it is given up, and never
    /// [handed on](crate::Mutex::with_hand_off) as it is to the next who waits in this process.
    #[must_use]
    pub fn value(&self) -> &OwnerValue {
        self.claim().show_value()
    }

    /// The number that is larger than that of every earlier acquisition of the name, if the lock was
    /// acquired by a [fenced](crate::Mutex::with_fencing) mutex (or resumed with its parts): for the resource, to refuse who comes late. See
    /// [`fence`](crate::fence).
    #[must_use]
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.claim().token()
    }

    /// How many tries it took to get the lock, the one that did included.
    #[must_use]
    pub fn attempts(&self) -> u32 {
        self.claim().attempt()
    }

    /// The instant up to which the lock is held, on this process' monotonic clock.
    ///
    /// A machine that is suspended may stop that clock (on Linux it does), so after waking up a
    /// process can believe in a lock that has expired; a fencing token is the way to be safe.
    #[must_use]
    pub fn until(&self) -> Instant {
        self.claim().until()
    }

    /// How long the lock is held from now, if it is not extended; zero when it is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.until().saturating_duration_since(Instant::now())
    }

    /// Whether the validity has ended.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.claim().is_lost()
    }

    /// Resolves when the validity ends: at [`until`](Self::until), by a local timer, wherever that
    /// has been moved to; and at once when an extension learns that a majority is not ours any
    /// more.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub fn lost(&self) -> Lost {
        Lost::new(Arc::clone(self.claim()))
    }

    /// A token that is cancelled when the lock is [`lost`](Self::lost), and when the guard is released,
    /// dropped or taken apart: for tasks of the caller's that must not go on without it.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn lost_token(&mut self) -> CancellationToken {
        let held = self.held.get_or_insert_with(|| {
            let token = CancellationToken::new();
            let (cancelled, lost) = (token.clone(), Lost::new(Arc::clone(self.holding.claim())));
            let watch = tokio::spawn(async move {
                lost.await;
                cancelled.cancel();
            });
            HeldToken {
                token: token.drop_guard(),
                _watch: AbortOnDropHandle::new(watch),
            }
        });
        // A child: who cancels it, cancels nothing of anybody else's.
        held.token.token().child_token()
    }

    /// A handle that tells how long the lock is held, and can neither extend nor release it.
    #[must_use]
    pub fn validity(&self) -> Validity {
        Validity(Arc::clone(self.claim()))
    }

    /// Extends the lock: it is held for an expiry (less drift) from the time of this call.
    ///
    /// Extensions may run side by side; a later end of the validity is never replaced by an
    /// earlier one.
    ///
    /// # Errors
    ///
    /// [`ExtendError::Lost`] if the validity has ended, before or during the call, or if so many
    /// nodes say that the key is not ours that the others are no majority. What is lost stays
    /// lost. [`ExtendError::Failed`] if too few nodes confirmed in time: the lock is held as long
    /// as before, and it makes sense to try again.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, keys may live longer on some nodes, and the validity stays as it
    /// was. Nothing is lost by trying again.
    pub async fn extend(&self) -> Result<(), ExtendError> {
        keepalive::extend(self.claim()).await
    }

    /// Extends the lock in the background for as long as the guard lives: at a third of the
    /// expiry, and after a failure at every twelfth, until the lock is lost. A second call changes
    /// nothing.
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn keep_alive(&mut self) {
        if self.keep_alive.is_none() {
            let task = tokio::spawn(keepalive::keep_alive(Arc::clone(self.claim())));
            self.keep_alive = Some(AbortOnDropHandle::new(task));
        }
    }

    /// Asks the nodes whether a majority of them holds the lock for this guard. (go-redsync's
    /// `Valid`.)
    ///
    /// The answer is about the past by the time it arrives. To know whether to go on, ask
    /// [`remaining`](Self::remaining), which is a promise and costs nothing.
    ///
    /// # Errors
    ///
    /// [`LockError::Unavailable`] if too few nodes answered to say.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn valid(&self) -> Result<bool, LockError> {
        let claim = self.claim();
        let outcome = claim.inspect(&mpsc::channel().0).await;
        match outcome.verdict {
            Verdict::Granted => Ok(true),
            Verdict::Refused => Ok(false),
            Verdict::Unknown => Err(LockError::Unavailable(outcome.into_votes(claim))),
        }
    }

    /// Releases the lock, and tells whether it was held up to now. (go-redsync's `Unlock`.)
    ///
    /// It waits for a majority of the nodes, at most for the
    /// [node time limit](crate::Mutex::with_node_timeout). The others are released in the
    /// background.
    ///
    /// If others wait for the lock in this process, it may be [handed on](crate::Mutex::with_hand_off)
    /// to the first of them instead: at once, and without asking the nodes.
    ///
    /// # Errors
    ///
    /// The future resolves to a [`ReleaseError`] if too few nodes answered to say.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, even before it was polled, the release goes on in the background.
    pub fn release(self) -> Release {
        let Self {
            keep_alive,
            held,
            holding,
        } = self;
        drop(keep_alive);
        // Before another may have the lock.
        drop(held);
        let claim = Arc::clone(holding.claim());
        let lost = claim.is_lost();
        Release {
            releasing: holding.give_up(),
            claim,
            lost,
        }
    }

    /// Gives up the guard without releasing the lock, which stays until it expires, or somebody
    /// [resumes](crate::Mutex::resume) it. Nobody extends it meanwhile.
    ///
    /// What is still under way can set a key after the next holder has released it, which is then left
    /// to its expiry on that node: the acquisition on a node that was slow, or an extension
    /// [that heals](crate::Mutex::with_set_if_absent_on_extend).
    #[must_use = "the parts are what the lock can be extended or released with"]
    pub fn into_parts(self) -> GuardParts {
        let terms = self.claim().terms();
        let parts = GuardParts {
            names: terms.names.iter().map(|name| (**name).into()).collect(),
            value: terms.value.as_str().to_owned(),
            mode: terms.mode,
            fencing_token: self.fencing_token(),
            remaining: self.remaining(),
        };
        drop(self.keep_alive);
        self.holding.leave();
        parts
    }

    /// [`into_parts`](Self::into_parts) for those who need only the value.
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
            .field("keep_alive", &self.keep_alive.is_some())
            .finish_non_exhaustive()
    }
}

/// How a lock was released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// It was held to the end.
    Held,
    /// It was lost before: the validity had ended, or a majority of the nodes had no key of ours
    /// any more. What was done under it may have met the work of another.
    AlreadyLost,
}

pin_project! {
    /// The future of [`Guard::release`].
    #[must_use = "whether the lock was held to the end is known when this is awaited"]
    pub struct Release {
        // Nothing if the lock was handed on.
        #[pin]
        releasing: Option<Releasing>,
        claim: Arc<Claim>,
        lost: bool,
    }
}

impl Future for Release {
    type Output = Result<Released, ReleaseError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Some(releasing) = this.releasing.as_pin_mut() else {
            return Poll::Ready(Ok(Released::Held));
        };
        let outcome = ready!(releasing.poll(cx));
        Poll::Ready(match outcome.verdict {
            _ if *this.lost => Ok(Released::AlreadyLost),
            Verdict::Granted => Ok(Released::Held),
            Verdict::Refused => {
                this.claim.count_loss();
                Ok(Released::AlreadyLost)
            }
            Verdict::Unknown => Err(ReleaseError(outcome.into_votes(this.claim))),
        })
    }
}

impl fmt::Debug for Release {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Release")
            .field("name", self.claim.name())
            .finish_non_exhaustive()
    }
}

/// How long a lock is held, for those who work under it: a view of a [`Guard`], cheap to clone,
/// that can neither extend nor release.
///
/// When the guard is released, dropped or taken apart, the validity ends: it tells that the lock is
/// lost, so that whoever still works under it can stop.
#[derive(Clone)]
pub struct Validity(Arc<Claim>);

impl Validity {
    /// The name that is locked. See [`Guard::name`].
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.name()
    }

    /// Whether whoever holds this lock need not lock the mutex: it is on the same nodes, all names
    /// are among those that are locked, and neither an exclusive lock is asked of a shared one nor a
    /// fencing token of one that has none. A lock that is lost covers nothing.
    #[must_use]
    pub fn covers(&self, mutex: &Mutex) -> bool {
        !self.is_lost() && mutex.is_covered_by(&self.0)
    }

    /// The fencing token. See [`Guard::fencing_token`].
    #[must_use]
    pub fn fencing_token(&self) -> Option<FencingToken> {
        self.0.token()
    }

    /// The instant up to which the lock is held. See [`Guard::until`].
    #[must_use]
    pub fn until(&self) -> Instant {
        self.0.until()
    }

    /// How long the lock is held from now. See [`Guard::remaining`].
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.until().saturating_duration_since(Instant::now())
    }

    /// Whether the validity has ended. See [`Guard::is_lost`].
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.0.is_lost()
    }

    /// Resolves when the validity ends. See [`Guard::lost`].
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
    /// The future of [`Guard::lost`].
    #[must_use = "futures do nothing unless polled"]
    pub struct Lost {
        claim: Arc<Claim>,
        #[pin]
        early: WaitForCancellationFutureOwned,
        #[pin]
        timer: Option<Sleep>,
    }
}

impl Lost {
    pub(crate) fn new(claim: Arc<Claim>) -> Self {
        Self {
            early: claim.lost_early().clone().cancelled_owned(),
            claim,
            timer: None,
        }
    }
}

impl Future for Lost {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let mut this = self.project();
        loop {
            let until = this.claim.until();
            if Instant::now() >= until || this.early.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            // An extension moves `until` on without a word: the timer fires where it was, and is
            // set again.
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
            .field("name", self.claim.name())
            .finish_non_exhaustive()
    }
}
