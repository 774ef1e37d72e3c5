//! The course of a waiter: how [events](super::event) lead from one [state](super::state) to the
//! next.
//!
//! Pure: no I/O, no clock of its own, and no randomness except in the pauses that the options draw.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    super::{
        limit::{Limit, after},
        polls::{Found, Poll, Polls, Reliance},
    },
    event::{Action, Event, Failed, Free},
    state::{Cause, Prompt, State, Watching},
};
use crate::{
    options::Options,
    queue::fairness::{DIVISION_PAUSE, FAILED_WAKE_UPS, Stay},
};

/// A margin that is added to the time for which nodes keep a name, because they drop it in the
/// millisecond after.
const EXPIRY_MARGIN: Duration = Duration::from_millis(2);

/// If the nodes report a name as free that was taken a moment before, an attempt follows at once,
/// up to this many times in a row. The name may have been released and acquired in between.
const BELIEVED_CONTRADICTIONS: u32 = 5;

/// After that, the next attempt follows after this pause.
const CONTRADICTION_PAUSE: Duration = Duration::from_millis(1);

/// How many times the pause is doubled at most, once for each further attempt.
const MOST_DOUBLINGS: u32 = 8;

/// The shortest time after which an attempt follows because the holder's key may have expired.
const SHORTEST_EXPIRY_WAIT: Duration = Duration::from_millis(10);

/// The course of a waiter: where it is on its way to the lock, and when its polls are due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Course {
    state: State,
    polls: Polls,
    /// How many attempts that followed a wake-up have failed.
    failed_wake_ups: u32,
    /// How many times in a row the nodes have reported the name as free, without a change, after an
    /// attempt had found it taken.
    contradictions: u32,
}

impl Course {
    pub(super) fn new(limit: Limit, options: &Options, origin: Instant, now: Instant) -> Self {
        Self {
            state: State::Queued {
                until: now + options.timing.expiry(),
            },
            polls: Polls::new(limit, &options.retry, origin, now),
            failed_wake_ups: 0,
            contradictions: 0,
        }
    }

    /// When the next [`Timer`](Event::Timer) is due.
    pub(super) fn due(&self) -> Instant {
        let poll = self.polls.due();
        (self.state.until()).map_or(poll, |until| until.min(poll))
    }

    /// When the last poll is due, or an instant that is far away if that is not known yet.
    pub(super) fn last_due(&self, now: Instant) -> Instant {
        self.polls.last_due(now)
    }

    pub(super) const fn limit(&self) -> Limit {
        self.polls.limit()
    }

    pub(super) const fn state(&self) -> State {
        self.state
    }

    /// Whether an attempt that starts now may be followed by another.
    pub(super) fn repeats(&self, options: &Options, now: Instant) -> bool {
        !self.polls.are_over(&options.retry, now)
    }

    /// How many attempts in a row found no quorum of nodes.
    pub(super) const fn outages(&self) -> u32 {
        self.polls.outages()
    }

    /// Notes that the nodes are watched anew. It is not known yet whether they will report.
    pub(super) fn watches_anew(&mut self, options: &Options, now: Instant) {
        self.polls.check(&options.retry, now);
    }

    /// Goes to the state that follows an event, and returns what to do.
    pub(super) fn on(&mut self, event: Event, options: &Options, now: Instant) -> Action {
        let expired = now + options.timing.expiry();
        match (event, self.state) {
            (Event::Joined { may_act: true }, _) => {
                self.watch(Cause::Failure { divided: false }, expired, now)
            }
            (
                Event::Notified {
                    stay_back,
                    can_watch,
                },
                _,
            ) => {
                self.polls.hurry(&options.retry, now);
                self.notified(stay_back, can_watch, expired, now)
            }
            (Event::Outage, _) => {
                self.polls.hurry(&options.retry, now);
                Action::Wait
            }
            (Event::Shared, _) => self.attempt(Prompt::Other),
            (Event::Visited, _) => self.watch(Cause::Visit, expired, now),
            (Event::Free(free), State::Watching(watching)) => self.free(free, &watching, now),
            (Event::Blind { stay }, State::Watching(watching)) => {
                self.polls.hurry(&options.retry, now);
                self.blind(stay, &watching, now)
            }
            (Event::Timer(on), _) if now >= self.polls.due() => self.poll(on, options, now),
            (Event::Timer(on), state) => self.timer(on.may_act, state, expired, now),
            (Event::Failed(failed), state) => self.failed(failed, state, options, now),
            // It has joined behind others, or a watch has ended that nothing waits for any more.
            (Event::Joined { .. } | Event::Free(_) | Event::Blind { .. }, _) => Action::Wait,
        }
    }

    /// The nodes notify others of a release as well. The process that held the name comes last, and
    /// checks whether it is free before it makes an attempt.
    fn notified(
        &mut self,
        stay_back: Option<Stay>,
        can_watch: bool,
        expired: Instant,
        now: Instant,
    ) -> Action {
        match stay_back {
            Some(Stay::For(pause)) => self.go_to(State::StayingBack {
                until: now + pause,
                pause,
                can_watch,
            }),
            Some(Stay::Open(limit)) if can_watch => self.open(now + limit),
            None if can_watch => self.watch(Cause::Release { stayed_back: None }, expired, now),
            Some(Stay::Open(_)) | None => self.attempt(Prompt::Other),
        }
    }

    /// The names may be free.
    fn free(&mut self, free: Free, watching: &Watching, now: Instant) -> Action {
        let checks = self.checks(watching, free.has_changed, free.checks);
        let divided = watching.cause == Cause::Failure { divided: true };
        let prompt = if free.has_changed {
            Prompt::WakeUp
        } else {
            Prompt::Other
        };
        if checks > 0 {
            self.watch_again(watching, checks, now)
        } else if !free.may_act {
            self.go_to(State::Queued {
                until: watching.until,
            })
        } else if let Some(limit) = free.opening {
            self.open(now + limit)
        } else if divided && free.pauses {
            self.pause(Some(now + DIVISION_PAUSE), prompt)
        } else if let Some(pause) = self.contradiction(watching, free.has_changed) {
            self.pause(Some(now + pause), Prompt::Other)
        } else {
            self.attempt(prompt)
        }
    }

    /// The nodes cannot be watched.
    fn blind(&mut self, stay: Duration, watching: &Watching, now: Instant) -> Action {
        match watching.cause {
            Cause::Release { .. } => self.go_to(State::StayingBack {
                until: now + stay,
                pause: stay,
                can_watch: false,
            }),
            Cause::Failure { .. } | Cause::Visit => self.pause(Some(watching.until), Prompt::Other),
        }
    }

    /// The next poll is due.
    fn poll(&mut self, on: Reliance, options: &Options, now: Instant) -> Action {
        let on = Reliance {
            may_act: on.may_act && !self.state.is_open(),
            ..on
        };
        match self.polls.count(&options.retry, on, now) {
            Poll::Wait => Action::Wait,
            Poll::Attempt => self.attempt(Prompt::Other),
            Poll::Fail => Action::Fail,
        }
    }

    /// The time of the state is over.
    fn timer(&mut self, may_act: bool, state: State, expired: Instant, now: Instant) -> Action {
        match state {
            _ if !may_act => self.go_to(State::Queued { until: expired }),
            State::StayingBack {
                pause,
                can_watch: true,
                ..
            } => {
                let stayed_back = Some(pause);
                self.watch(Cause::Release { stayed_back }, expired, now)
            }
            State::Opening { .. } => self.watch(Cause::Release { stayed_back: None }, expired, now),
            State::Pausing { prompt, .. } => self.attempt(prompt),
            _ => self.attempt(Prompt::Other),
        }
    }

    /// Returns how many more times the name has to be found free.
    fn checks(&mut self, watching: &Watching, has_changed: bool, checks: u32) -> u32 {
        if !has_changed {
            watching.checks.saturating_sub(1)
        } else if self.failed_wake_ups >= FAILED_WAKE_UPS {
            // The next wake-up is followed by an attempt at once. Otherwise a process that has lost
            // some races would lose all that follow, to waiters that have just come and do not
            // check.
            self.failed_wake_ups = FAILED_WAKE_UPS - 1;
            checks.max(1)
        } else {
            checks
        }
    }

    /// Returns how long to pause if the nodes have contradicted failed attempts too often. For
    /// instance, they may be watched in another database than that of the lock.
    fn contradiction(&mut self, watching: &Watching, has_changed: bool) -> Option<Duration> {
        if has_changed || !matches!(watching.cause, Cause::Failure { .. }) {
            self.contradictions = 0;
            return None;
        }
        self.contradictions = self.contradictions.saturating_add(1);
        let doublings = (self.contradictions).checked_sub(BELIEVED_CONTRADICTIONS + 1)?;
        Some(CONTRADICTION_PAUSE * (1 << doublings.min(MOST_DOUBLINGS)))
    }

    /// An attempt has failed.
    fn failed(&mut self, failed: Failed, state: State, options: &Options, now: Instant) -> Action {
        self.polls.failed(failed.found, &options.retry, now);
        if self.polls.are_over(&options.retry, now) {
            return Action::Fail;
        }
        let was_woken = State::Attempting {
            prompt: Prompt::WakeUp,
        };
        if state == was_woken {
            self.failed_wake_ups = self.failed_wake_ups.saturating_add(1);
        }
        if failed.found == Found::NoQuorum {
            // No watch: the names may be free, and could not be acquired for another reason. If
            // nodes can be read but not written, a watch would end at once, and attempts would
            // follow each other without a pause.
            return self.pause(None, Prompt::Other);
        }
        let free_in = failed.free_in.unwrap_or(options.timing.expiry());
        let wait = free_in.saturating_add(EXPIRY_MARGIN);
        let until = after(now, wait.max(SHORTEST_EXPIRY_WAIT));
        if failed.may_act {
            let divided = failed.divided;
            self.watch(Cause::Failure { divided }, until, now)
        } else {
            self.go_to(State::Queued { until })
        }
    }

    const fn go_to(&mut self, state: State) -> Action {
        self.state = state;
        Action::Wait
    }

    const fn pause(&mut self, until: Option<Instant>, prompt: Prompt) -> Action {
        self.go_to(State::Pausing { until, prompt })
    }

    const fn open(&mut self, until: Instant) -> Action {
        self.state = State::Opening { until };
        Action::WatchAcquired
    }

    const fn attempt(&mut self, prompt: Prompt) -> Action {
        self.state = State::Attempting { prompt };
        Action::Attempt
    }

    const fn watch(&mut self, cause: Cause, until: Instant, now: Instant) -> Action {
        self.state = State::Watching(Watching {
            since: now,
            until,
            cause,
            checks: 0,
        });
        Action::Watch
    }

    /// Watches the nodes for the same cause as before, because the name has to be found free this
    /// many more times.
    const fn watch_again(&mut self, watching: &Watching, checks: u32, now: Instant) -> Action {
        self.state = State::Watching(Watching {
            since: now,
            until: watching.until,
            cause: watching.cause.checked(),
            checks,
        });
        Action::Watch
    }
}

#[cfg(test)]
mod tests;
