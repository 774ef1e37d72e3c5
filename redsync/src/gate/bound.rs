//! The bound of the attempts that are under way: as many as are answered well within their time.
//!
//! Nodes that are sent more commands than they can execute do not answer more of them, but answer
//! later. So the bound grows while answers are quick and attempts wait at the gate, and shrinks
//! when answers come late.
//!
//! Pure: no clock of its own, and no knowledge of tasks.

use std::time::Duration;

use tokio::time::Instant;

/// The smallest bound, which is also the first one. Up to it, late answers are no reason to ask for
/// less: nodes that are far away may take half of their time even without a load, and 64 attempts
/// that are answered within the default time limit of 400 ms are still 160 a second.
const LEAST: usize = 64;

/// The largest bound. If nodes take 20 ms to answer, this many allow 50,000 attempts a second,
/// which is more than a process can make.
const MOST: usize = 1024;

/// After this many answers in time, the bound grows by one. So it can grow by a quarter in each
/// round trip, and from the smallest to the largest in a dozen.
const ANSWERS_FOR_ONE_MORE: usize = 4;

/// An answer is late if it has taken a larger part of its time than this: a half. The other half is
/// for what is on its way already when the bound shrinks.
const LATE_PART: u32 = 2;

/// One answer changes the usual time by this part of the difference: an eighth, as TCP smooths its
/// round trips (RFC 6298, section 2.3).
const SMOOTHING: u32 = 8;

/// How many attempts may be under way.
pub(super) struct Bound {
    attempts: usize,
    /// The answers in time since the bound has last changed.
    in_time: usize,
    /// How long answers take at present.
    usual_time: Duration,
    shrunk_at: Option<Instant>,
}

impl Default for Bound {
    fn default() -> Self {
        Self {
            attempts: LEAST,
            in_time: 0,
            usual_time: Duration::ZERO,
            shrunk_at: None,
        }
    }
}

impl Bound {
    pub(super) const fn attempts(&self) -> usize {
        self.attempts
    }

    pub(super) const fn usual_time(&self) -> Duration {
        self.usual_time
    }

    /// Counts an attempt that began at `since`, and is answered now or has used up the time of its
    /// nodes. `is_full` says whether as many attempts are under way as the bound allows.
    pub(super) fn answered(
        &mut self,
        since: Instant,
        now: Instant,
        node_timeout: Duration,
        is_full: bool,
    ) {
        let took = now.saturating_duration_since(since);
        self.usual_time =
            self.usual_time / SMOOTHING * (SMOOTHING - 1) + took.min(node_timeout) / SMOOTHING;
        if took > node_timeout / LATE_PART {
            // Once for all that were under way at that time.
            if self.shrunk_at.is_none_or(|at| since >= at) {
                self.attempts = (self.attempts / 4 * 3).max(LEAST);
                self.in_time = 0;
                self.shrunk_at = Some(now);
            }
        } else if is_full && self.attempts < MOST {
            self.in_time += 1;
            if self.in_time >= ANSWERS_FOR_ONE_MORE {
                self.attempts += 1;
                self.in_time = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_millis(400);

    /// The bound after rounds of as many attempts as it allows, all answered after the same time.
    fn after_rounds(bound: &mut Bound, rounds: usize, took: Duration) -> usize {
        let mut now = Instant::now();
        for _ in 0..rounds {
            let since = now;
            now += took;
            for _ in 0..bound.attempts() {
                bound.answered(since, now, TIME, true);
            }
        }
        bound.attempts()
    }

    #[test]
    fn it_grows_by_a_quarter_with_quick_answers_up_to_the_largest() {
        let mut bound = Bound::default();
        assert_eq!(after_rounds(&mut bound, 1, TIME / 8), LEAST / 4 * 5);
        assert_eq!(after_rounds(&mut bound, 20, TIME / 8), MOST);
    }

    #[test]
    fn late_answers_of_one_round_shrink_it_once() {
        let mut bound = Bound::default();
        after_rounds(&mut bound, 20, TIME / 8);
        assert_eq!(after_rounds(&mut bound, 1, TIME), MOST / 4 * 3);
        assert_eq!(after_rounds(&mut bound, 20, TIME), LEAST);
    }

    #[test]
    fn it_stays_while_there_is_room() {
        let (mut bound, now) = (Bound::default(), Instant::now());
        for _ in 0..10 * LEAST {
            bound.answered(now, now, TIME, false);
        }
        assert_eq!(bound.attempts(), LEAST);
    }

    #[test]
    fn the_usual_time_follows_the_answers() {
        let (mut bound, now) = (Bound::default(), Instant::now());
        for took in [TIME / 4, TIME / 16] {
            for _ in 0..100 {
                bound.answered(now, now + took, TIME, false);
            }
            let difference = bound.usual_time().abs_diff(took);
            assert!(difference < took / 100, "{difference:?}");
        }
    }
}
