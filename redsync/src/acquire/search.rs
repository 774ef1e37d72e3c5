//! The search for a permit that is free: an attempt on one after the other.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::attempt::{Attempt, Failure, Reason};
use crate::{
    Guard, LockError,
    common::Common,
    gate::Pass,
    request::{Permits, Request},
};

pin_project! {
    /// An attempt on each of some permits, up to the first that is free. A mutex has one permit, so its
    /// search is a single attempt.
    ///
    /// # Cancel safety
    ///
    /// As for [`Attempt`].
    pub(crate) struct Search {
        #[pin]
        attempt: Attempt,
        untried: Permits,
        // The failure on the permit that will be free soonest, of those that are taken.
        soonest: Option<Failure>,
        repeated: bool,
        common: Arc<Common>,
        // Given back with the result, and not when this is dropped, because a future that has resolved
        // may be kept for a long time.
        pass: Option<Pass>,
    }
}

impl Search {
    /// Starts with the first attempt. It may be `repeated` if no permit is free.
    pub(crate) fn start(
        request: &Request,
        mut permits: Permits,
        common: &Arc<Common>,
        pass: Pass,
        repeated: bool,
    ) -> Result<Self, LockError> {
        let permit = permits.take_next().unwrap_or(0);
        Ok(Self {
            attempt: Attempt::start(request, permit, common, repeated)?,
            untried: permits,
            soonest: None,
            repeated,
            common: Arc::clone(common),
            pass: Some(pass),
        })
    }

    /// Continues the search for the request with which it was started.
    ///
    /// # Errors
    ///
    /// The outer error means that no further attempt could begin.
    pub(crate) fn poll(
        self: Pin<&mut Self>,
        request: &Request,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Result<Guard, Failure>, LockError>> {
        let mut this = self.project();
        let options = &request.options;
        loop {
            let result = ready!(this.attempt.as_mut().poll(cx));
            // Without `fail_fast`, it may have waited for one slow node, which says nothing about the load.
            if let Some(pass) = this.pass.as_mut().filter(|_| options.rounds.fail_fast) {
                pass.answered(options.timing.node_timeout());
            }
            let failure = match result {
                Ok(guard) => {
                    *this.pass = None;
                    return Poll::Ready(Ok(Ok(guard)));
                }
                Err(failure) => failure,
            };
            let next = match failure.reason {
                Reason::Taken => this.untried.take_next(),
                // The nodes would not answer for another permit either.
                Reason::Unavailable | Reason::TooLate | Reason::NotALock => None,
            };
            let failure = match this.soonest.take() {
                Some(other) if failure.reason == Reason::Taken => other.or_sooner(failure),
                _ => failure,
            };
            let Some(permit) = next else {
                *this.pass = None;
                return Poll::Ready(Ok(Err(failure.of(request))));
            };
            *this.soonest = Some(failure);
            let attempt = Attempt::start(request, permit, this.common, *this.repeated)?;
            this.attempt.set(attempt);
        }
    }
}

impl Failure {
    /// This failure, or another if that one's permit will be free sooner.
    fn or_sooner(self, other: Self) -> Self {
        let free_in = |failure: &Self| failure.votes.free_in();
        match (free_in(&self), free_in(&other)) {
            (Some(this), Some(that)) if this <= that => self,
            (Some(_), None) => self,
            _ => other,
        }
    }

    /// This failure as one of the whole request, and not of one of its permits.
    fn of(mut self, request: &Request) -> Self {
        self.votes.name = request.label.clone();
        self
    }
}
