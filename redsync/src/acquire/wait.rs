//! Waiting for a name that is taken: the [course](course) of a waiter, and the I/O that it asks
//! for.

mod course;
mod event;
mod reservation;
mod state;

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use self::{
    course::Course,
    event::{Action, Event, Failed, Free},
    reservation::Reservation,
    state::{State, Watching},
};
use super::{
    attempt::{Failure, Reason},
    limit::Limit,
    polls::{Found, Reliance},
    search::Search,
    watch::Watched,
    watches::Watches,
};
use crate::{
    Guard, LockError,
    common::Common,
    gate::Pass,
    queue::{
        Notice, OwnedLease, Standing, Ticket,
        fairness::{Sign, blind_stay, pauses_after_division},
    },
    request::Request,
};

/// How many rounds a search takes that finds a free permit: one that asks which are free, and one
/// that acquires it.
const SEARCH: u32 = 2;

/// Waits for the lock in the queues of its names, after a first attempt that failed, or because
/// there is a queue already.
///
/// # Cancel safety
///
/// If it is dropped, it leaves the queues. A lock that it has acquired, or that was handed over to
/// it, goes to the next waiter or is released. If it has not acted on a notice, the waiters behind
/// it are notified.
pub(crate) async fn wait(
    request: Request,
    common: Arc<Common>,
    limit: Limit,
    first: Option<Failure>,
) -> Result<Guard, LockError> {
    let ticket = Ticket::join(request, &common.queues)?;
    let mut waiter = Waiter::new(&ticket, &common, limit);
    let mut action = waiter.joined(first)?;
    let mut timer = pin!(sleep_until(waiter.course.due()));
    loop {
        let step = if action == Action::Attempt {
            waiter.attempt().await?
        } else {
            if timer.deadline() != waiter.course.due() {
                timer.as_mut().reset(waiter.course.due());
            }
            let signal = waiter.signal(timer.as_mut()).await;
            waiter.react(signal)?
        };
        action = match step {
            Step::Locked(guard) => {
                waiter.reservation.fulfilled();
                return Ok(guard);
            }
            Step::Next(action) => action,
        };
    }
}

/// A waiter: its ticket, its course, and its watch of the nodes.
struct Waiter<'a> {
    reservation: Reservation<'a>,
    ticket: &'a Ticket,
    common: &'a Arc<Common>,
    course: Course,
    /// There are some only in the states `Watching` and `Opening`, and during an attempt that no
    /// end of them has caused.
    watches: Watches,
    /// The last failure of this waiter, for the error.
    failure: Option<Failure>,
}

/// An event that wakes a waiter.
enum Signal {
    Notified(Option<Notice>),
    Watched(Watched),
    Timer,
}

/// The result of an event or an attempt.
enum Step {
    Locked(Guard),
    Next(Action),
}

impl<'a> Waiter<'a> {
    fn new(ticket: &'a Ticket, common: &'a Arc<Common>, limit: Limit) -> Self {
        let options = &ticket.request().options;
        Self {
            reservation: Reservation::new(ticket, common),
            course: Course::new(limit, options, common.since, Instant::now()),
            ticket,
            common,
            watches: Watches::default(),
            failure: None,
        }
    }

    /// Whether an attempt that starts now may be followed by another.
    fn repeats(&self) -> bool {
        let options = &self.ticket.request().options;
        self.course.repeats(options, Instant::now())
    }

    fn standing(&self) -> Standing {
        self.ticket.standing()
    }

    /// Returns what to do first.
    fn joined(&mut self, first: Option<Failure>) -> Result<Action, LockError> {
        if let Some(failure) = first {
            let repeated = self.repeats();
            self.reservation.attempt_begins(repeated);
            self.ticket.note_failure();
            self.reservation.attempt_failed(&failure, repeated);
            self.reservation.give_way();
            return self.failed(failure);
        }
        // If it is at the head already, the others have left in the meantime, and no notice will
        // come.
        let may_act = self.standing().may_act;
        Ok(self.on(Event::Joined { may_act }))
    }

    /// Waits for the first signal. If several are ready, a notice comes before the end of a watch,
    /// and the timer comes last.
    ///
    /// # Cancel safety
    ///
    /// No signal is lost if the future is dropped.
    async fn signal(&mut self, mut timer: Pin<&mut Sleep>) -> Signal {
        let ticket = self.ticket;
        let mut notified = pin!(ticket.notified());
        poll_fn(|cx| {
            if notified.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Signal::Notified(ticket.take_notice()));
            }
            if let Poll::Ready(watched) = self.watches.poll(cx) {
                return Poll::Ready(Signal::Watched(watched));
            }
            self.step_aside();
            timer.as_mut().poll(cx).map(|()| Signal::Timer)
        })
        .await
    }

    /// Goes to the state that follows a signal.
    fn react(&mut self, signal: Signal) -> Result<Step, LockError> {
        Ok(Step::Next(match signal {
            Signal::Notified(Some(Notice::HandedOver(lease))) => {
                let guard = self.take(self.ticket.owned(lease));
                return Ok(guard.map_or(Step::Next(Action::Wait), Step::Locked));
            }
            Signal::Notified(Some(Notice::Share)) => self.on(Event::Shared),
            Signal::Notified(Some(Notice::Act)) => self.may_act(),
            Signal::Notified(Some(Notice::Outage)) => self.on(Event::Outage),
            Signal::Notified(None) => Action::Wait,
            Signal::Watched(Watched::Free { .. }) if self.course.state().is_open() => {
                self.ticket.note(Sign::Came);
                self.on(Event::Visited)
            }
            Signal::Watched(Watched::Free { has_changed }) => self.found_free(has_changed),
            Signal::Watched(Watched::Blind) => {
                let time = self.ticket.request().options.hand_over_time();
                self.on(Event::Blind {
                    stay: blind_stay(time),
                })
            }
            Signal::Timer => {
                let Standing {
                    may_act, outages, ..
                } = self.standing();
                let action = self.on(Event::Timer(Reliance {
                    may_act,
                    wakes: self.watches.work(),
                    outages,
                }));
                if action == Action::Fail {
                    return Err(self.last_failure());
                }
                action
            }
        }))
    }

    /// Goes to the next state.
    fn on(&mut self, event: Event) -> Action {
        let request = self.ticket.request();
        let action = self.follow(event);
        match action {
            Action::Watch => self.start_watch(&[]),
            Action::WatchAcquired => {
                (self.watches).start_for_acquisition(&self.common.nodes, &request.names);
            }
            // They go on during an attempt that no end of them has caused. If it ended those that
            // have not been answered, waiters of nodes that answer late would poll, and be later
            // still.
            Action::Attempt if self.watches.work() || self.watches.are_whole() => {}
            _ if !self.course.state().is_watching() => self.watches.end(),
            _ => {}
        }
        action
    }

    /// Follows the course.
    fn follow(&mut self, event: Event) -> Action {
        let options = &self.ticket.request().options;
        let action = self.course.on(event, options, Instant::now());
        self.step_aside();
        action
    }

    /// Steps aside if this waiter searches for a permit, or back.
    fn step_aside(&self) {
        if self.ticket.request().is_semaphore() {
            let state = self.course.state();
            let until = state.is_searching().then(|| self.end_of_search(state));
            self.ticket.step_aside(until.flatten());
        }
    }

    /// Returns when the search ends at the latest. [`None`] means that it has ended, because all
    /// permits are taken, or that no time is left for one.
    fn end_of_search(&self, state: State) -> Option<Instant> {
        let search = SEARCH * self.usual_time();
        // A search that begins later may end without a permit, and those that have passed the waiter
        // are gone.
        let latest = self.course.last_due(Instant::now()).checked_sub(search)?;
        match state {
            // All permits are taken: there is nothing to find before one of them changes.
            State::Watching(_) if self.watches.are_answered() => None,
            // The nodes cannot say that they have answered. Usually they have, after that time.
            State::Watching(Watching { since, .. }) if self.watches.work() => {
                Some(latest.min(since + search))
            }
            _ => Some(latest),
        }
    }

    /// How long an attempt takes at present.
    fn usual_time(&self) -> Duration {
        let options = &self.ticket.request().options;
        if options.rounds.fail_fast {
            self.common.gate.usual_time()
        } else {
            // It may wait for a slow node.
            options.timing.node_timeout()
        }
    }

    fn start_watch(&mut self, own: &[bool]) {
        let request = self.ticket.request();
        let here = self.ticket.permits_here();
        self.watches.start(&self.common.nodes, request, own, here);
        self.course.watches_anew(&request.options, Instant::now());
    }

    /// This waiter may have become the one that acts.
    fn may_act(&mut self) -> Action {
        let standing = self.standing();
        if !standing.may_act {
            // By now, another waiter may be the one that acts, or a holder may have the name. This
            // notice may have taken the place of a weaker one.
            return match standing.outages {
                0 => Action::Wait,
                _ => self.on(Event::Outage),
            };
        }
        self.on(Event::Notified {
            stay_back: self.ticket.stay_back(),
            can_watch: !standing.is_behind_shared,
        })
    }

    /// The names may be free.
    fn found_free(&mut self, has_changed: bool) -> Action {
        // A permit that this process has released is no sign of others.
        let by_others = has_changed && !self.watches.freed_here();
        let sign = self.course.state().sign(has_changed, Instant::now());
        if let Some(sign) = sign.filter(|_| by_others || !has_changed) {
            self.ticket.note(sign);
        }
        let may_be_ours = has_changed && self.course.state().has_failed();
        self.on(Event::Free(Free {
            has_changed,
            opening: may_be_ours.then(|| self.ticket.opening()).flatten(),
            checks: if by_others {
                self.ticket.changed_hands()
            } else {
                0
            },
            pauses: pauses_after_division(),
            may_act: self.standing().may_act,
        }))
    }

    /// Makes an attempt. If it fails, a lock that was handed over to this waiter in the meantime is
    /// used instead.
    async fn attempt(&mut self) -> Result<Step, LockError> {
        let node_timeout = self.ticket.request().options.timing.node_timeout();
        let due = self.course.due();
        let pass = self.common.gate.pass_by(due, node_timeout).await;
        let repeated = self.repeats();
        let result = match pass {
            Some(pass) => self.search(pass, repeated).await?,
            // Nothing is known that the last attempt has not found.
            None if !repeated && self.failure.is_some() => return Err(self.last_failure()),
            None => {
                let request = self.ticket.request();
                Err(Failure::overloaded(request, &self.common.nodes))
            }
        };
        let failure = match result {
            Ok(guard) => {
                self.ticket.leave_with(guard.lease());
                return Ok(Step::Locked(guard));
            }
            Err(failure) => failure,
        };
        self.ticket.note_failure();
        self.reservation.attempt_failed(&failure, repeated);
        if let Some(owned) = self.ticket.take_handed_over() {
            if let Some(guard) = self.take(owned) {
                return Ok(Step::Locked(guard));
            }
        } else {
            let standing = self.standing();
            let may_be_held_here = standing.is_held_here || standing.is_behind_shared;
            if failure.reason == Reason::Taken && !may_be_held_here {
                self.ticket.note(Sign::Held);
            }
        }
        self.failed(failure).map(Step::Next)
    }

    /// Searches for a permit that is free. If one is handed over to this waiter meanwhile, the search
    /// ends with the present attempt, as the validity of that permit passes.
    async fn search(
        &mut self,
        pass: Pass,
        repeated: bool,
    ) -> Result<Result<Guard, Failure>, LockError> {
        self.reservation.attempt_begins(repeated);
        let request = self.ticket.request();
        let permits = self.ticket.permits().from(self.watches.take_freed());
        let search = Search::start(
            request,
            permits,
            self.common,
            pass,
            repeated,
            self.course.limit(),
        )?;
        let mut search = pin!(search);
        poll_fn(|cx| {
            if self.ticket.has_lock() {
                search.as_mut().end_early();
            }
            search.as_mut().poll(request, cx)
        })
        .await
    }

    /// The error for a waiter that makes no more attempts: the failure of its last one.
    fn last_failure(&mut self) -> LockError {
        let failure = self.failure.take();
        let failure = failure.expect("no waiter ends before an attempt of its own has failed");
        failure.into_error(self.course.limit())
    }

    /// Takes a lock that was handed over, unless too little validity is left. The waiter then joins
    /// its queues again before it releases the lock, so that it is notified of the release.
    fn take(&self, owned: OwnedLease) -> Option<Guard> {
        if owned.lease().is_worth_having() {
            return Some(Guard::new(owned, self.common));
        }
        self.ticket.rejoin();
        None
    }

    /// Returns what to do after a failed attempt, or the error if it was the last.
    fn failed(&mut self, failure: Failure) -> Result<Action, LockError> {
        if failure.is_final() {
            return Err(failure.into_error(self.course.limit()));
        }
        let found = match failure.reason {
            Reason::Taken if failure.reserves => Found::Reserved,
            Reason::Taken => Found::Taken,
            Reason::Unavailable | Reason::TooLate | Reason::NotALock => Found::NoQuorum,
        };
        let divided = failure.own.contains(&true);
        let event = Event::Failed(Failed {
            found,
            divided,
            free_in: failure.votes.free_in(),
            may_act: self.standing().may_act,
        });
        let action = self.follow(event);
        // Watches that have seen nothing go on, unless this attempt itself has changed a key.
        let has_changed_keys = divided || found == Found::Reserved;
        let goes_on = !has_changed_keys && self.watches.are_whole();
        match action {
            Action::Watch if goes_on => {}
            Action::Watch => self.start_watch(&failure.own),
            _ => self.watches.end(),
        }
        self.ticket.report_outages(self.course.outages());
        if action == Action::Fail {
            return Err(failure.into_error(self.course.limit()));
        }
        self.failure = Some(failure);
        Ok(action)
    }
}

#[cfg(test)]
mod tests;
