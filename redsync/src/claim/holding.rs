//! What becomes of a claim's keys.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::Claim;
use crate::round::{Outcome, Round};

/// The keys of a claim, to be given up when this is dropped.
pub(crate) struct Holding {
    claim: Arc<Claim>,
    armed: bool,
}

impl Holding {
    pub(crate) const fn new(claim: Arc<Claim>) -> Self {
        Self { claim, armed: true }
    }

    pub(crate) const fn claim(&self) -> &Arc<Claim> {
        &self.claim
    }

    /// Passes the lock on to the next who waits for it in this process ([`None`]), or releases it.
    pub(crate) fn give_up(mut self) -> Option<Releasing> {
        self.armed = false;
        (!self.claim.pass_on()).then(|| Releasing::start(&self.claim))
    }

    /// Releases what was not enough.
    pub(crate) fn undo(mut self) -> Round {
        self.armed = false;
        self.claim.release()
    }

    /// Leaves the keys to whoever knows their value.
    pub(crate) fn leave(mut self) {
        self.armed = false;
        self.claim.end();
        // They do not watch while it is held here.
        self.claim.tell_freed();
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if !self.armed || self.claim.pass_on() {
            return;
        }
        if self.claim.was_held() && !self.claim.redsync.lines().is_empty() {
            let releasing = Releasing::start(&self.claim);
            let work = async move { drop(releasing.await) };
            self.claim.in_background(self.claim.release_pursuit(), work);
        } else {
            // A round that is dropped goes on in the background.
            drop(self.claim.release());
        }
    }
}

pin_project! {
    /// A release, after which those who wait are told.
    pub(crate) struct Releasing {
        // Dropped first: what is told is that the messages are on their way.
        #[pin]
        round: Round,
        tells: Tells,
    }
}

impl Releasing {
    fn start(claim: &Arc<Claim>) -> Self {
        Self {
            round: claim.release(),
            tells: Tells(Some(Arc::clone(claim))),
        }
    }
}

impl Future for Releasing {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Outcome> {
        let this = self.project();
        let outcome = ready!(this.round.poll(cx));
        this.tells.now();
        Poll::Ready(outcome)
    }
}

/// Tells those who wait, once.
struct Tells(Option<Arc<Claim>>);

impl Tells {
    fn now(&mut self) {
        if let Some(claim) = self.0.take() {
            claim.tell_freed();
        }
    }
}

impl Drop for Tells {
    fn drop(&mut self) {
        self.now();
    }
}
