//! How processes that cannot see each other share a name.
//!
//! Processes that wait for one name do not know of each other. A process can see that the name was
//! held while nobody here held it, and how often it changed hands. From that it derives how long it
//! may keep the name for its own waiters, how long it stays back after it has released it, and
//! whether another process comes first.
//!
//! Each rule is one type or one function. All of them are advice: they decide when a waiter makes
//! an attempt, and never whether it holds the lock.
//!
//! # What each constant is worth
//!
//! Beside a constant stands the figure that the benchmark gives without it, for four processes of
//! 16 tasks that hold a name for 2 ms each:
//!
//! ```sh
//! cargo bench --bench peers -- --goals --quick --rounds 5 --only contended \
//!     --implementations redsync/deadpool
//! ```
//!
//! With all of them, in three runs, the 99th percentile of the wait was 232 to 274 ms, the share of
//! the process that came off worst was 0.52 to 0.67 of a fair one, and a critical section cost 246
//! to 279 µs of CPU time.

use std::time::Duration;

use tokio::time::Instant;

/// How long another process is assumed to want the name after it was seen with it. Zero switches
/// off [shorter hand-overs](Fairness::hand_over_time) and [staying back](Stays) for known
/// processes: the wait is then 328 ms.
const WANTED_FOR: Duration = Duration::from_millis(500);

/// The time for hand-overs is divided by this while another process wants the name. One switches
/// this off: the wait is then 287 ms. (A section then costs 144 µs, because more of them are
/// hand-overs.)
const CONTENDED_PART: u32 = 10;

/// The shortest time for which a process stays back if another is known to want the name. With
/// zero, the wait is 303 ms.
const SHORTEST_STAY: Duration = Duration::from_millis(1);

/// The shortest time for hand-overs from which stays are derived: a shorter one counts as this.
const LEAST_TIME: Duration = Duration::from_millis(10);

/// The interval at which a process stays back for others that it does not know of.
/// [`Duration::MAX`] switches this off: if another process always wants the name and is nearer to
/// the nodes, one that is farther away then never gets it. (The benchmark has no such process; the
/// tests of waiting have one.)
const CHANCE_EVERY: Duration = Duration::from_millis(500);

/// The time for hand-overs is divided by this to get the length of such a stay.
const CHANCE_PART: u32 = 8;

/// One of this number of such stays lasts for the whole time for hand-overs: too rare to be
/// noticed.
const LONG_CHANCE: u32 = 8;

/// The most changes of hands for which a process lets others come first. Zero switches it off: the
/// wait is then 350 ms, and there are rounds in which one process gets nothing.
const MOST_CHANGES: u32 = 3;

/// After this many acquisitions in a row that came earlier than usual, the usual number of changes
/// is learned anew. With one, the wait is 350 ms, and the smallest share 0.28.
const RELEARNED_AFTER: u32 = 8;

/// The rest of a release in this process takes no longer than this. A change that comes later is a
/// hold by another process.
pub(crate) const OWN_RELEASE: Duration = Duration::from_millis(1);

/// The length of a [pause](pauses_after_division) after an attempt that got some of the nodes while
/// others got the rest.
pub(crate) const DIVISION_PAUSE: Duration = Duration::from_millis(1);

/// After this many attempts that followed a wake-up and failed, a waiter first checks whether the
/// name is free: a failed attempt can itself be a change that wakes others. [`u32::MAX`] switches
/// it off: a section then costs 316 µs.
pub(crate) const FAILED_WAKE_UPS: u32 = 5;

/// The time for hand-overs is divided by this to get the longest time for which a process stays
/// back if it cannot see whether others come.
const BLIND_PART: u32 = 4;

/// Draws at random how long to stay back if the nodes do not report when the name is free.
pub(crate) fn blind_stay(time: Duration) -> Duration {
    (time / BLIND_PART).mul_f64(fastrand::f64())
}

/// Draws at random whether to pause for the [`DIVISION_PAUSE`] after an attempt that got some of the nodes
/// while others got the rest. Without such pauses, they would all collide again: the wait is then
/// 321 ms, and the smallest share 0.44.
pub(crate) fn pauses_after_division() -> bool {
    fastrand::bool()
}

/// A sign of other processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sign {
    /// Another process has held the name.
    Held,
    /// This process stayed back for this long, and no other process came.
    NobodyCame(Duration),
}

/// The knowledge of other processes that the queue of one name has.
#[derive(Default)]
pub(crate) struct Fairness {
    /// When another process was last seen with the name.
    seen: Option<Instant>,
    stays: Stays,
    changes: Changes,
}

impl Fairness {
    pub(crate) const fn note(&mut self, sign: Sign, now: Instant) {
        match sign {
            Sign::Held => self.seen = Some(now),
            Sign::NobodyCame(stay) => self.stays.too_short = stay,
        }
    }

    fn is_contended(&self, now: Instant) -> bool {
        self.seen.is_some_and(|seen| now - seen < WANTED_FOR)
    }

    /// Returns how long the lock may be handed over in this process. Without other processes, that
    /// is `time`.
    pub(crate) fn hand_over_time(&self, time: Duration, now: Instant) -> Duration {
        if self.is_contended(now) {
            time / CONTENDED_PART
        } else {
            time
        }
    }

    /// Returns how long to stay back now that the name was released here, if at all. `time` is the
    /// time for hand-overs.
    pub(crate) fn stay_back(&mut self, time: Duration, now: Instant) -> Option<Duration> {
        let time = time.max(LEAST_TIME);
        if self.is_contended(now) {
            Some(self.stays.for_known(time))
        } else {
            self.stays.by_chance(time, now)
        }
    }

    /// Notes that the name has changed hands among other processes. Returns how many times it has
    /// to be found free before the next attempt, so that others come first.
    pub(crate) const fn changed_hands(&mut self) -> u32 {
        self.changes.count()
    }

    /// Notes that this process has acquired the name.
    pub(crate) fn acquired(&mut self) {
        self.changes.restart();
    }

    /// Notes that this process has acquired the name for a shared holder, perhaps beside others of
    /// its own.
    pub(crate) fn acquired_shared(&mut self) {
        // Those that follow the first of their run see no change, and count as one with it.
        if self.changes.count > 0 {
            self.changes.restart();
        }
    }
}

/// How long a process stays back after a release.
///
/// A process that is farther from the nodes may need longer to come than this one needs to check
/// whether somebody has come. So if others want the name, this process stays back, and each time
/// that nobody came, it stays twice as long. If it knows of no others, it stays back only now and
/// then, so that they have a chance to be seen.
#[derive(Default)]
struct Stays {
    /// The last stay that was too short for others to come.
    too_short: Duration,
    /// When it last stayed back for others that it did not know of, and how often it has.
    last_chance: Option<Instant>,
    chances: u32,
}

impl Stays {
    fn for_known(&self, time: Duration) -> Duration {
        (2 * self.too_short).clamp(SHORTEST_STAY, time / 2)
    }

    fn by_chance(&mut self, time: Duration, now: Instant) -> Option<Duration> {
        self.too_short = Duration::ZERO;
        if now - *self.last_chance.get_or_insert(now) < CHANCE_EVERY {
            return None;
        }
        self.last_chance = Some(now);
        self.chances = self.chances.wrapping_add(1);
        let is_long = self.chances.is_multiple_of(LONG_CHANCE);
        Some(if is_long { time } else { time / CHANCE_PART })
    }
}

/// How often the name changes hands between two acquisitions of this process.
///
/// A process that has waited for as many changes as usual lets no other come first, and one that
/// has waited for fewer does. So the name goes around among the processes, instead of at random.
#[derive(Default)]
struct Changes {
    /// Since the last acquisition of this process.
    count: u32,
    usual: u32,
    /// How many acquisitions in a row came earlier than usual.
    early: u32,
}

impl Changes {
    const fn count(&mut self) -> u32 {
        self.count = self.count.saturating_add(1);
        self.usual.saturating_sub(self.count)
    }

    fn restart(&mut self) {
        let count = self.count.min(MOST_CHANGES);
        self.count = 0;
        self.early = if count < self.usual {
            self.early + 1
        } else {
            0
        };
        if count > self.usual || self.early == RELEARNED_AFTER {
            self.usual = count;
            self.early = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_millis(48);

    #[test]
    fn hand_overs_end_sooner_while_another_process_wants_the_name() {
        let mut fairness = Fairness::default();
        let now = Instant::now();
        assert_eq!(fairness.hand_over_time(TIME, now), TIME);
        fairness.note(Sign::Held, now);
        assert_eq!(fairness.hand_over_time(TIME, now), TIME / CONTENDED_PART);
        assert_eq!(fairness.hand_over_time(TIME, now + WANTED_FOR), TIME);
    }

    #[test]
    fn a_stay_to_which_nobody_came_is_followed_by_a_longer_one() {
        let mut fairness = Fairness::default();
        let now = Instant::now();
        fairness.note(Sign::Held, now);
        for stays in 0..4 {
            let stay = SHORTEST_STAY * (1 << stays);
            assert_eq!(fairness.stay_back(TIME, now), Some(stay));
            fairness.note(Sign::NobodyCame(stay), now);
        }
        // They are gone.
        assert_eq!(fairness.stay_back(TIME, now + WANTED_FOR), None);
    }

    #[test]
    fn a_stay_is_as_long_as_others_needed_to_come() {
        let mut fairness = Fairness::default();
        let mut now = Instant::now();
        fairness.note(Sign::Held, now);
        let far = Duration::from_millis(5);
        for _ in 0..20 {
            let stay = fairness.stay_back(TIME, now).unwrap();
            if stay < far {
                fairness.note(Sign::NobodyCame(stay), now);
            } else {
                assert_eq!(stay, Duration::from_millis(8));
                fairness.note(Sign::Held, now);
            }
            now += WANTED_FOR / 10;
        }
    }

    #[test]
    fn unknown_processes_are_given_a_chance_now_and_then() {
        let mut fairness = Fairness::default();
        let mut now = Instant::now();
        assert_eq!(fairness.stay_back(TIME, now), None);
        for stays in 1..=16 {
            assert_eq!(fairness.stay_back(TIME, now + CHANCE_EVERY / 2), None);
            now += CHANCE_EVERY;
            let part = if stays % 8 == 0 { 1 } else { 8 };
            assert_eq!(fairness.stay_back(TIME, now), Some(TIME / part));
        }
    }

    #[test]
    fn a_process_that_has_waited_as_long_as_usual_lets_nobody_come_first() {
        let mut fairness = Fairness::default();
        let acquire_after = |fairness: &mut Fairness, changes| {
            let checks: Vec<_> = (0..changes).map(|_| fairness.changed_hands()).collect();
            fairness.acquired();
            checks
        };
        assert_eq!(acquire_after(&mut fairness, 5), [0; 5]);
        assert_eq!(acquire_after(&mut fairness, 3), [2, 1, 0]);
        // One process less.
        for _ in 0..RELEARNED_AFTER {
            assert_eq!(acquire_after(&mut fairness, 2), [2, 1]);
        }
        assert_eq!(acquire_after(&mut fairness, 2), [1, 0]);
    }

    #[test]
    fn a_run_of_shared_holders_counts_as_one() {
        let mut fairness = Fairness::default();
        let three_changes = |fairness: &mut Fairness| [(); 3].map(|()| fairness.changed_hands());
        three_changes(&mut fairness);
        for _ in 0..2 * RELEARNED_AFTER {
            fairness.acquired_shared();
        }
        assert_eq!(three_changes(&mut fairness), [2, 1, 0]);
    }
}
