//! The polls of a waiter: when the next is due, and what it does.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    limit::{Limit, after},
    pauses,
};
use crate::options::Retry;

/// The shortest pause between polls that send nothing. Without it, a retry delay of zero would be a
/// busy loop.
const SHORTEST_PAUSE: Duration = Duration::from_millis(1);

/// Rare polls are due at multiples of this time, so that those of many waiters share a write.
/// (With 10,000 names, this saves half of the CPU time.)
const GRID: Duration = Duration::from_millis(250);

/// The polls of a waiter. Each follows a pause and counts as an attempt, whether the waiter then
/// makes an attempt, is still behind others, or relies on wake-ups.
///
/// While the waiter need not poll, several pauses are put together into one, and the polls between
/// them are skipped. They count as if they had been made, so a number of attempts is used up in the
/// same time.
#[derive(Clone, Copy, Debug)]
pub(super) struct Polls {
    limit: Limit,
    tries: u32,
    /// How many attempts in a row found no quorum of nodes.
    outages: u32,
    /// What the last attempt found.
    last: Option<Found>,
    pause: Pause,
    /// Where the grid of rare polls begins. It is the same for all waiters.
    origin: Instant,
}

/// The reason for which an attempt failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Taken,
    /// Shared holders have the lock. It is reserved for this waiter, up to a moment after its next
    /// poll.
    Reserved,
    /// Too few nodes answered, or they answered too late.
    NoQuorum,
}

/// The present pause.
#[derive(Clone, Copy, Debug)]
struct Pause {
    since: Instant,
    due: Instant,
    /// How many polls are skipped in it. Each is counted already.
    skipped: u32,
    /// How many rare polls there were in a row.
    rare: u32,
}

/// What to do when a poll is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Poll {
    /// Wait for the next poll.
    Wait,
    Attempt,
    /// No attempt may follow, and the last one says why.
    Fail,
}

/// What a waiter relies on between its polls.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reliance {
    /// Whether this waiter is the one that asks the nodes. If not, another does.
    pub(super) may_act: bool,
    /// Whether wake-ups work on a quorum of nodes.
    pub(super) wakes: bool,
    /// How many attempts of other waiters in a row found no quorum.
    pub(super) outages: u32,
}

impl Polls {
    /// The polls of a waiter whose first attempt has been made. `origin` is the same for all
    /// waiters.
    pub(super) fn new(limit: Limit, retry: &Retry, origin: Instant, now: Instant) -> Self {
        Self {
            limit,
            tries: 1,
            outages: 0,
            last: None,
            pause: Pause {
                since: now,
                due: after(now, limit.pause(retry, 1, now)),
                skipped: 0,
                rare: 0,
            },
            origin,
        }
    }

    /// When the next poll is due.
    pub(super) const fn due(&self) -> Instant {
        self.pause.due
    }

    pub(super) const fn limit(&self) -> Limit {
        self.limit
    }

    pub(super) const fn outages(&self) -> u32 {
        self.outages
    }

    /// When the last poll is due. If that is not known yet, it is far away: other polls come first.
    pub(super) fn last_due(&self, now: Instant) -> Instant {
        match self.limit {
            Limit::Until(deadline) => deadline,
            Limit::Tries(tries) if self.tries + 1 >= tries => self.pause.due,
            Limit::Tries(_) => after(now, Duration::MAX),
        }
    }

    /// Whether no attempt may follow.
    pub(super) fn are_over(&self, retry: &Retry, now: Instant) -> bool {
        self.limit.is_over(retry, self.tries, self.outages, now)
    }

    /// Counts the poll that is due. The last one is always an attempt, because the caller gets the
    /// failure of that attempt. There is one exception: a deadline up to which wake-ups have
    /// worked. They would have shown that the lock was free since the last attempt.
    pub(super) fn count(&mut self, retry: &Retry, on: Reliance, now: Instant) -> Poll {
        self.tries = self.tries.saturating_add(1);
        let is_watched = on.wakes && self.last == Some(Found::Taken);
        if self.are_over(retry, now) {
            return match self.limit {
                Limit::Until(_) if is_watched => Poll::Fail,
                _ => Poll::Attempt,
            };
        }
        let lasted = now.saturating_duration_since(self.pause.since);
        let pause = self.limit.pause(retry, self.tries, now);
        let least = if on.may_act {
            Duration::ZERO
        } else {
            SHORTEST_PAUSE
        };
        self.pause = Pause {
            since: now,
            due: after(now, pause.max(least)),
            skipped: 0,
            rare: self.pause.rare,
        };
        self.outages = self.outages.max(on.outages);
        // One more attempt without a quorum of nodes is the last.
        if self.outages > 0 && self.outages + 1 >= retry.outage_attempts {
            return Poll::Attempt;
        }
        let relies_on_others = !on.may_act && on.outages == 0;
        let is_rare = is_watched || relies_on_others;
        if is_rare {
            self.put_off(retry, after(now, pauses::rare(retry, self.pause.rare)));
            self.pause.rare += 1;
        } else {
            self.pause.rare = 0;
        }
        let is_early = is_rare && lasted < pauses::SHORTEST_RARE;
        if on.may_act && !is_early {
            Poll::Attempt
        } else {
            Poll::Wait
        }
    }

    /// Polls at the usual pace from now on.
    pub(super) fn hurry(&mut self, retry: &Retry, now: Instant) {
        self.check(retry, now);
        self.pause.rare = 0;
    }

    /// Ends a long pause after one of the usual length, to see whether wake-ups work then. Polls
    /// that would have been skipped after this moment have not been made.
    pub(super) fn check(&mut self, retry: &Retry, now: Instant) {
        if self.pause.rare == 0 {
            return;
        }
        let Pause { since, due, .. } = self.pause;
        let (whole, left) = (due - since, due.saturating_duration_since(now));
        let part = left.as_secs_f64() / whole.as_secs_f64().max(f64::MIN_POSITIVE);
        let not_made = (f64::from(self.pause.skipped) * part) as u32;
        self.tries -= not_made;
        let pause = self.limit.pause(retry, self.tries, now);
        self.pause = Pause {
            since: now,
            due: due.min(after(now, pause)),
            skipped: 0,
            rare: self.pause.rare,
        };
    }

    /// Puts the next poll off, if it is due sooner than at this instant. The polls that are skipped
    /// count. The last one is not skipped.
    fn put_off(&mut self, retry: &Retry, until: Instant) {
        match self.limit {
            Limit::Until(deadline) => {
                self.pause.due = self
                    .pause
                    .due
                    .max(on_grid(until, self.origin).min(deadline));
            }
            Limit::Tries(tries) => {
                while self.pause.due < until && self.tries + 1 < tries {
                    self.tries += 1;
                    self.pause.skipped += 1;
                    let pause = retry.delay(self.tries).max(SHORTEST_PAUSE);
                    self.pause.due = after(self.pause.due, pause);
                }
            }
        }
    }

    /// Notes why an attempt has failed. After several in a row that found no quorum of nodes, the
    /// pauses grow.
    pub(super) fn failed(&mut self, found: Found, retry: &Retry, now: Instant) {
        self.last = Some(found);
        if found != Found::Taken {
            self.hurry(retry, now);
        }
        self.outages = match found {
            Found::Taken | Found::Reserved => 0,
            Found::NoQuorum => self.outages.saturating_add(1),
        };
        if let Some(pause) = pauses::in_outage(self.outages) {
            self.pause.due = self.pause.due.max(now);
            self.put_off(retry, after(now, pause));
        }
        if self.pause.due <= now {
            let took = now.saturating_duration_since(self.pause.since);
            let due = after(now, pauses::after_slow(took));
            self.pause.due = self.limit.deadline().map_or(due, |it| due.min(it));
        }
    }
}

/// Returns the first instant at or after this one that is on the grid.
fn on_grid(instant: Instant, origin: Instant) -> Instant {
    let since = instant.saturating_duration_since(origin).as_millis() as u64;
    let grid = GRID.as_millis() as u64;
    instant + Duration::from_millis(since.next_multiple_of(grid) - since)
}

#[cfg(test)]
mod tests;
