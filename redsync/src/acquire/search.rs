//! The search for a permit that is free: an attempt on one after the other.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

use super::{
    attempt::{Attempt, Failure, Reason},
    limit::Limit,
};
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
        // How many permits have a key in their place that is no lock.
        occupied: usize,
        // The failure on the permit that will be free soonest, of those that are taken.
        soonest: Option<Failure>,
        repeated: bool,
        // No further attempt begins at this instant or later.
        deadline: Option<Instant>,
        common: Arc<Common>,
        // Given back with the result, and not when this is dropped, because a future that has resolved
        // may be kept for a long time.
        pass: Option<Pass>,
    }
}

impl Search {
    /// Starts with the first attempt. If no permit is free, the search may be `repeated`. It then ends at
    /// the deadline of the limit. One that starts at the deadline, as the last, goes on: it would say little
    /// if it tried a single permit.
    pub(crate) fn start(
        request: &Request,
        mut permits: Permits,
        common: &Arc<Common>,
        pass: Pass,
        repeated: bool,
        limit: Limit,
    ) -> Result<Self, LockError> {
        let permit = permits.take_next().unwrap_or(0);
        Ok(Self {
            attempt: Attempt::start(request, permit, common, repeated)?,
            untried: permits,
            occupied: 0,
            soonest: None,
            repeated,
            deadline: limit.deadline().filter(|_| repeated),
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
            let goes_on = match failure.reason {
                // A key that is no lock is in the place of one permit.
                Reason::Taken | Reason::NotALock => true,
                // The nodes would not answer for another permit either.
                Reason::Unavailable | Reason::TooLate => false,
            };
            *this.occupied += usize::from(failure.reason == Reason::NotALock);
            let failure = match this.soonest.take() {
                Some(other) if goes_on => other.or_sooner(failure),
                _ => failure,
            };
            let untried = this.untried.take_next().filter(|_| goes_on);
            let next = untried.filter(|_| this.deadline.is_none_or(|it| Instant::now() < it));
            let Some(permit) = next else {
                *this.pass = None;
                return Poll::Ready(Ok(Err(failure.of(request, *this.occupied))));
            };
            *this.soonest = Some(failure);
            let attempt = Attempt::start(request, permit, this.common, *this.repeated)?;
            this.attempt.set(attempt);
        }
    }
}

impl Failure {
    /// This failure, or another if that one's permit will be free sooner. A key that is no lock is not
    /// expected to be free at all.
    fn or_sooner(self, other: Self) -> Self {
        let free_in = |failure: &Self| failure.votes.free_in();
        let is_sooner = match (self.reason, other.reason) {
            (_, Reason::NotALock) => true,
            (Reason::NotALock, _) => false,
            _ => match (free_in(&self), free_in(&other)) {
                (Some(this), Some(that)) => this <= that,
                (this, _) => this.is_some(),
            },
        };
        if is_sooner { self } else { other }
    }

    /// This failure as one of the whole request, and not of one of its permits. With a key that is no lock in
    /// the place of only some permits, the others are taken: held here, or not tried before the deadline.
    fn of(mut self, request: &Request, occupied: usize) -> Self {
        if self.reason == Reason::NotALock && occupied < request.permits().count() {
            self.reason = Reason::Taken;
        }
        self.votes.name = request.label.clone();
        self
    }
}
