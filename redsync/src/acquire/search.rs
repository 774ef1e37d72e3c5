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
    /// An attempt on each of some permits, up to the first that is free. A mutex has one permit, so
    /// its search is a single attempt.
    ///
    /// # Cancel safety
    ///
    /// As for [`Attempt`].
    pub(crate) struct Search {
        #[pin]
        attempt: Attempt,
        untried: Permits,
        failures: Failures,
        repeated: bool,
        // No further attempt begins at this instant or later.
        deadline: Option<Instant>,
        common: Arc<Common>,
        // Given back with the result, and not when this is dropped, because a future that has
        // resolved may be kept for a long time.
        pass: Option<Pass>,
    }
}

/// What the attempts of a search have found.
#[derive(Default)]
struct Failures {
    /// The failure on the permit that will be free soonest, of those that are taken.
    soonest: Option<Failure>,
    /// How many permits have a key in their place that is not a lock.
    occupied: usize,
}

impl Search {
    /// Starts with the first attempt. If no permit is free, the search may be `repeated`. It then
    /// ends at the deadline of the limit. One that starts at the deadline, as the last, goes on: it
    /// would say little if it tried a single permit.
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
            failures: Failures::default(),
            repeated,
            deadline: limit.deadline().filter(|_| repeated),
            common: Arc::clone(common),
            pass: Some(pass),
        })
    }

    /// Tries no further permit after the one of the present attempt.
    pub(crate) fn end_early(self: Pin<&mut Self>) {
        *self.project().untried = Permits::none();
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
            // Without `fail_fast`, it may have waited for one slow node, which says nothing about
            // the load.
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
            let untried = match failure.reason {
                Reason::Taken | Reason::NotALock => {
                    this.failures.add(failure);
                    this.untried.take_next()
                }
                // The nodes would not answer for another permit either.
                Reason::Unavailable | Reason::TooLate => {
                    this.failures.soonest = Some(failure);
                    None
                }
            };
            let next = untried.filter(|_| this.deadline.is_none_or(|it| Instant::now() < it));
            let Some(permit) = next else {
                *this.pass = None;
                return Poll::Ready(Ok(Err(this.failures.take(request))));
            };
            let attempt = Attempt::start(request, permit, this.common, *this.repeated)?;
            this.attempt.set(attempt);
        }
    }
}

impl Failures {
    /// Adds the failure on a permit that is not free.
    fn add(&mut self, failure: Failure) {
        self.occupied += usize::from(failure.reason == Reason::NotALock);
        self.soonest = Some(match self.soonest.take() {
            Some(other) => other.or_sooner(failure),
            None => failure,
        });
    }

    /// Takes the failure of the whole request, at the end of the search. With a key that is not a
    /// lock in the place of only some permits, the others are taken: held here, or not tried before
    /// the deadline.
    fn take(&mut self, request: &Request) -> Failure {
        let mut failure = self.soonest.take().expect("an attempt has failed");
        if failure.reason == Reason::NotALock && self.occupied < request.permits().count() {
            failure.reason = Reason::Taken;
        }
        failure.votes.name = request.label.clone();
        failure
    }
}

impl Failure {
    /// This failure, or another if that one's permit will be free sooner. A key that is not a lock
    /// is not expected to be free at all.
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
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        options::Options,
        quorum::votes::{NodeVote, Vote, Votes},
    };

    /// The failure on a permit that is held for this many more seconds, if that is known.
    fn failure(reason: Reason, free_in: Option<u64>) -> Failure {
        let remaining = free_in.map(Duration::from_secs);
        Failure {
            reason,
            votes: Votes {
                name: Arc::<str>::from("export").into(),
                nodes: 1,
                votes: vec![NodeVote {
                    address: "a".into(),
                    vote: Vote::Refused { remaining },
                }],
                attempt: 1,
            },
            own: Vec::new(),
            reserves: false,
        }
    }

    fn taken(free_in: Option<u64>) -> Failure {
        failure(Reason::Taken, free_in)
    }

    fn not_a_lock() -> Failure {
        failure(Reason::NotALock, None)
    }

    /// What a search on a semaphore of three permits says after these failures.
    fn found(failures: impl IntoIterator<Item = Failure>) -> (Reason, Option<Duration>) {
        let mut options = Options::default();
        options.kind.permits = 3;
        let request = Request::new(&["export".into()].into(), &Arc::new(options)).unwrap();
        let mut found = Failures::default();
        for failure in failures {
            found.add(failure);
        }
        let failure = found.take(&request);
        (failure.reason, failure.votes.free_in())
    }

    #[test]
    fn the_permit_that_will_be_free_soonest_says_when() {
        let after = |first, second, third| found([first, second, third].map(taken)).1;
        let soonest = Some(Duration::from_secs(1));
        assert_eq!(after(Some(1), Some(2), Some(3)), soonest);
        assert_eq!(after(Some(3), Some(2), Some(1)), soonest);
        assert_eq!(after(None, Some(1), None), soonest);
        assert_eq!(after(None, None, None), None);
    }

    #[test]
    fn keys_that_are_not_locks_are_the_reason_only_if_they_have_all_places() {
        let soonest = Some(Duration::from_secs(1));
        let one = || taken(Some(1));
        assert_eq!(found([not_a_lock(), one()]), (Reason::Taken, soonest));
        assert_eq!(found([one(), not_a_lock()]), (Reason::Taken, soonest));
        let (reason, _) = found([not_a_lock(), taken(None)]);
        assert_eq!(reason, Reason::Taken);
        let (reason, _) = found([not_a_lock(), not_a_lock()]);
        assert_eq!(reason, Reason::Taken, "the third was not tried");
        let (reason, _) = found([not_a_lock(), not_a_lock(), not_a_lock()]);
        assert_eq!(reason, Reason::NotALock);
    }
}
