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
//! Each constant has beside it the figure that the benchmark gives without it, for four processes of
//! 16 tasks that hold a name for 2 ms each:
//!
//! ```sh
//! cargo bench --bench peers -- --goals --quick --rounds 5 --only contended \
//!     --implementations redsync/deadpool
//! ```
//!
//! With all of them, in three runs, the 99th percentile of the wait was 232 to 274 ms, the share of
//! the process that came off worst was 0.52 to 0.67 of a fair one, and a critical section cost 246
//! to 279 µs of CPU time. A constant on which the benchmark has no bearing says why.
//!
//! For clients that poll, the figures are those of the test `pollers` of the test program `waiting`, in
//! a minute of virtual time: a client that does what go-redsync does beside 16 tasks that hold the name
//! for 2 ms. With all of them, it gets 158 locks, no call fails, and the 16 tasks do 23,543 sections;
//! without [openings](Openings), it gets 56 locks, two calls fail, and there are 27,115 sections.
//!
//! ```sh
//! cargo test -p redsync-tests --all-features --test waiting pollers -- --nocapture
//! ```

use std::time::Duration;

use tokio::time::Instant;

/// How long another process is assumed to want the name after it was seen with it. Zero switches
/// off [shorter hand-overs](Fairness::fair_hand_over_time) and [staying back](Stays) for known
/// processes: the wait is then 328 ms.
const WANTED_FOR: Duration = Duration::from_millis(500);

/// The time for hand-overs is divided by this while another process wants the name. One switches
/// this off: the wait is then 287 ms. (A section then costs 144 µs, because more of them are
/// hand-overs.)
const CONTENDED_PART: u32 = 10;

/// The shortest time for which a process stays back if another is known to want the name. With
/// zero, the wait is 303 ms.
const SHORTEST_STAY: Duration = Duration::from_millis(1);

/// The shortest time for hand-overs from which stays are derived: a shorter one counts as this. If
/// hand-overs are switched off, other processes still need a moment to come. (The benchmark does not
/// switch them off.)
const LEAST_TIME: Duration = Duration::from_millis(10);

/// The interval at which a process stays back for others that it does not know of.
/// [`Duration::MAX`] switches this off: if another process always wants the name and is nearer to
/// the nodes, one that is farther away then never gets it. (The benchmark has no such process; the
/// tests of waiting have one.)
const CHANCE_EVERY: Duration = Duration::from_millis(500);

/// The time for hand-overs is divided by this to get the length of such a stay. With the default of
/// 50 ms it is 6 ms, which is enough for a process that is a few milliseconds away from the nodes.
/// (The benchmark has no such process.)
const CHANCE_PART: u32 = 8;

/// The longest time for which a process leaves the name [open](Openings) for clients that poll. It
/// is the longest pause of go-redsync's defaults, and the time of an attempt. With openings of 60 ms
/// that are more frequent, a client gets 111 locks, and calls fail.
const OPEN_FOR: Duration = Duration::from_millis(260);

/// An opening to which nobody came counts as one of this length, so that the name is open less often
/// where nobody polls. With the default share, the name is then not open for 3.9 s, which is often
/// enough for a client that makes 32 attempts, which take 4.7 s, to find it open; without such a
/// client, the 16 tasks do 6 % fewer sections. If somebody came to the one before, it counts as it is:
/// a client on a busy machine may have missed it, and finds another before its attempts are over.
const UNVISITED: Duration = OPEN_FOR.saturating_mul(5).checked_div(3).unwrap();

/// Somebody who came to an opening this long ago may still come to the next one: with the default
/// share, there has been one since.
const VISITOR_FOR: Duration = OPEN_FOR.saturating_mul(10);

/// The most changes of hands for which a process lets others come first. Zero switches it off: the
/// wait is then 350 ms, and there are rounds in which one process gets nothing.
const MOST_CHANGES: u32 = 3;

/// After this many acquisitions in a row that came earlier than usual, the usual number of changes
/// is learned anew. With one, the wait is 350 ms, and the smallest share 0.28.
const RELEARNED_AFTER: u32 = 8;

/// The rest of a release in this process takes no longer than this. A change that comes later is a
/// hold by another process. (The nodes of the benchmark are nearer than that.)
pub(crate) const OWN_RELEASE: Duration = Duration::from_millis(1);

/// The length of a [pause](pauses_after_division) after an attempt in which this process and
/// others each acquired only some of the nodes. It is several rounds long if the nodes are near; the
/// figure without it is beside the function.
pub(crate) const DIVISION_PAUSE: Duration = Duration::from_millis(1);

/// After this many attempts that followed a wake-up and failed, a waiter first checks whether the
/// name is free: a failed attempt can itself be a change that wakes others. [`u32::MAX`] switches
/// it off: a section then costs 316 µs.
pub(crate) const FAILED_WAKE_UPS: u32 = 5;

/// The time for hand-overs is divided by this to get the longest time for which a process stays
/// back if it cannot see whether others come. (The nodes of the benchmark show it.)
const BLIND_PART: u32 = 4;

/// Draws at random how long to stay back if the nodes do not report when the name is free.
pub(crate) fn blind_stay(time: Duration) -> Duration {
    (time / BLIND_PART).mul_f64(fastrand::f64())
}

/// Draws at random whether to pause for the [`DIVISION_PAUSE`] after an attempt in which this process
/// and others each acquired only some of the nodes. Without such pauses, they would all collide
/// again: the wait is then 321 ms, and the smallest share 0.44.
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
    /// The name was left open, and somebody came.
    Came,
}

/// How a process stays back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Stay {
    /// For this long, so that processes that were notified come first.
    For(Duration),
    /// Until somebody comes, and for no longer than this, so that a client that polls can come.
    Open(Duration),
}

/// The knowledge of other processes that the queue of one name has.
#[derive(Default)]
pub(crate) struct Fairness {
    /// When another process was last seen with the name.
    seen: Option<Instant>,
    stays: Stays,
    openings: Openings,
    changes: Changes,
}

impl Fairness {
    pub(crate) fn note(&mut self, sign: Sign, now: Instant) {
        match sign {
            Sign::Held => {
                // A client that polls does not come sooner for hand-overs that end sooner. If it
                // holds the name for 5 ms, there are 20,878 sections without this.
                if !self.openings.have_visitor(now) {
                    self.seen = Some(now);
                }
            }
            Sign::NobodyCame(stay) => self.stays.too_short = stay,
            Sign::Came => self.openings.visited(now),
        }
    }

    fn is_contended(&self, now: Instant) -> bool {
        self.seen.is_some_and(|seen| now - seen < WANTED_FOR)
    }

    /// Returns how long the lock may be handed over in this process. Without other processes, that
    /// is `time`.
    pub(crate) fn fair_hand_over_time(&self, time: Duration, now: Instant) -> Duration {
        if self.is_contended(now) {
            time / CONTENDED_PART
        } else {
            time
        }
    }

    /// Returns how to stay back now that the name was released here, if at all. `time` is the time
    /// for hand-overs, and `share` is how much of its time the name may be open.
    pub(crate) fn stay_back(&mut self, time: Duration, share: f64, now: Instant) -> Option<Stay> {
        let time = time.max(LEAST_TIME);
        if self.is_contended(now) {
            if let Some(stay) = self.stays.for_known(time) {
                return Some(Stay::For(stay));
            }
            self.seen = None;
        }
        if let Some(left) = self.openings.left(share, now) {
            return Some(Stay::Open(left));
        }
        self.stays.by_chance(time, now).map(Stay::For)
    }

    /// Returns for how long to leave the name open, if at all, now that the nodes report it as free.
    /// It may have been released here, by a holder of which the queue does not know.
    pub(crate) fn opening(&mut self, share: f64, now: Instant) -> Option<Duration> {
        if self.is_contended(now) {
            return None;
        }
        self.openings.left(share, now)
    }

    /// Notes that the name has changed hands among other processes. Returns how many times it has
    /// to be found free before the next attempt, so that others come first.
    pub(crate) const fn changed_hands(&mut self) -> u32 {
        self.changes.count()
    }

    /// Notes that this process has acquired the name.
    pub(crate) fn acquired(&mut self) {
        self.openings.since = None;
        self.changes.restart();
    }

    /// Notes that this process has acquired the name for a shared holder, perhaps beside others of
    /// its own.
    pub(crate) fn acquired_shared(&mut self) {
        self.openings.since = None;
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
/// that nobody came, it stays twice as long, up to half of the time for hand-overs. If nobody came
/// even then, the others are gone. (Without this end, two tasks that hold the name for 8 ms do a
/// quarter of their sections beside a client that polls and holds it for 5 ms.) If it knows of no
/// others, it stays back only now and then, so that they have a chance to be seen.
#[derive(Default)]
struct Stays {
    /// The last stay that was too short for others to come.
    too_short: Duration,
    /// When it last stayed back for others that it did not know of.
    last_chance: Option<Instant>,
}

impl Stays {
    fn for_known(&self, time: Duration) -> Option<Duration> {
        let longest = time / 2;
        (self.too_short < longest).then(|| (2 * self.too_short).clamp(SHORTEST_STAY, longest))
    }

    fn by_chance(&mut self, time: Duration, now: Instant) -> Option<Duration> {
        self.too_short = Duration::ZERO;
        if now - *self.last_chance.get_or_insert(now) < CHANCE_EVERY {
            return None;
        }
        self.last_chance = Some(now);
        Some(time / CHANCE_PART)
    }
}

/// Leaving the name open for clients that poll.
///
/// Nobody is notified of a poll: `SET NX` leaves no mark on a name that is held. And a client that
/// polls is not notified of a release. Beside a process that always has waiters, it would find the
/// name held again and again. So the name is left open now and then, until somebody comes. One long
/// opening serves such clients better than many short ones of the same sum: the longer the name has
/// been open, the sooner the next poll is due.
///
/// How much of the time the name may be open is an option, because nothing else decides how often
/// such clients get it. One that polls every 50 ms to 250 ms comes 86 ms after the name was opened,
/// on average. With a tenth of the time, that is about once per second, wherever in that second the
/// time is spent.
#[derive(Default)]
struct Openings {
    /// When the last one ended, or will end if nobody comes. At first, when somebody first asked.
    end: Option<Instant>,
    /// When the present one began.
    since: Option<Instant>,
    /// How long the last one counts as.
    length: Option<Duration>,
    /// When somebody last came.
    visit: Option<Instant>,
}

impl Openings {
    /// Returns for how long the name is to be left open, if at all.
    fn left(&mut self, share: f64, now: Instant) -> Option<Duration> {
        let end = *self.end.get_or_insert(now);
        if let Some(since) = self.since {
            return (since + OPEN_FOR).checked_duration_since(now);
        }
        let rest = rest(self.length.unwrap_or(UNVISITED), share);
        if now.saturating_duration_since(end) < rest {
            return None;
        }
        self.since = Some(now);
        self.end = Some(now + OPEN_FOR);
        self.length = self.have_visitor(now).then_some(OPEN_FOR);
        Some(OPEN_FOR)
    }

    /// Notes that somebody came.
    fn visited(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.end = Some(now);
            self.length = Some(now - since);
            self.visit = Some(now);
        }
    }

    /// Whether somebody comes whenever the name is open.
    fn have_visitor(&self, now: Instant) -> bool {
        self.visit.is_some_and(|visit| now - visit < VISITOR_FOR)
    }
}

/// For how long the name is not open again after it was open for some time.
fn rest(open: Duration, share: f64) -> Duration {
    let open = open.as_secs_f64();
    // A share of zero means that the name is never open.
    Duration::try_from_secs_f64(open / share - open).unwrap_or(Duration::MAX)
}

/// How often the name changes hands between two acquisitions of this process.
///
/// A process that has waited for the usual number of changes lets no other come first. A process that
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

    /// The name is open for a tenth of the time.
    const SHARE: f64 = 0.1;

    #[test]
    fn hand_overs_end_sooner_while_another_process_wants_the_name() {
        let mut fairness = Fairness::default();
        let now = Instant::now();
        assert_eq!(fairness.fair_hand_over_time(TIME, now), TIME);
        fairness.note(Sign::Held, now);
        assert_eq!(
            fairness.fair_hand_over_time(TIME, now),
            TIME / CONTENDED_PART
        );
        assert_eq!(fairness.fair_hand_over_time(TIME, now + WANTED_FOR), TIME);
    }

    #[test]
    fn a_stay_to_which_nobody_came_is_followed_by_a_longer_one() {
        let mut fairness = Fairness::default();
        let now = Instant::now();
        fairness.note(Sign::Held, now);
        for stays in 0..4 {
            let stay = SHORTEST_STAY * (1 << stays);
            assert_eq!(fairness.stay_back(TIME, SHARE, now), Some(Stay::For(stay)));
            fairness.note(Sign::NobodyCame(stay), now);
        }
        // They are gone.
        assert_eq!(fairness.stay_back(TIME, SHARE, now + WANTED_FOR), None);
    }

    #[test]
    fn a_stay_is_as_long_as_others_needed_to_come() {
        let mut fairness = Fairness::default();
        let mut now = Instant::now();
        fairness.note(Sign::Held, now);
        let far = Duration::from_millis(5);
        for _ in 0..20 {
            let Some(Stay::For(stay)) = fairness.stay_back(TIME, SHARE, now) else {
                panic!("it does not stay back");
            };
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
        assert_eq!(fairness.stay_back(TIME, SHARE, now), None);
        for _ in 0..7 {
            assert_eq!(
                fairness.stay_back(TIME, SHARE, now + CHANCE_EVERY / 2),
                None
            );
            now += CHANCE_EVERY;
            let stay = Some(Stay::For(TIME / CHANCE_PART));
            assert_eq!(fairness.stay_back(TIME, SHARE, now), stay);
        }
    }

    /// Lets the name be released over and over, up to the next time that it is left open.
    fn until_open(fairness: &mut Fairness, now: &mut Instant) {
        while !matches!(
            fairness.stay_back(TIME, SHARE, *now),
            Some(Stay::Open(OPEN_FOR))
        ) {
            fairness.acquired();
            *now += TIME;
        }
    }

    #[test]
    fn the_name_is_open_now_and_then_and_sooner_again_after_a_visit() {
        let mut fairness = Fairness::default();
        let mut now = Instant::now();
        let start = now;
        until_open(&mut fairness, &mut now);
        let rest = rest(UNVISITED, SHARE);
        assert!(now - start >= rest && now - start < rest + 2 * TIME);
        // Nobody came.
        now += OPEN_FOR;
        fairness.acquired();
        let closed = now;
        until_open(&mut fairness, &mut now);
        assert!(now - closed >= rest && now - closed < rest + 2 * TIME);
        // Somebody does.
        now += OPEN_FOR / 2;
        fairness.note(Sign::Came, now);
        fairness.acquired();
        let visited = now;
        until_open(&mut fairness, &mut now);
        let rest = 9 * OPEN_FOR / 2;
        assert!(now - visited >= rest && now - visited < rest + 2 * TIME);
    }

    #[test]
    fn the_name_is_open_for_the_share_of_the_time_that_the_options_say() {
        let second = Duration::from_secs(1);
        for (share, expected) in [(0.5, second), (0.25, 3 * second), (0.1, 9 * second)] {
            assert_eq!(rest(second, share), expected);
        }
        for open in [second, Duration::ZERO] {
            assert_eq!(rest(open, 0.0), Duration::MAX);
        }
        assert_eq!(rest(second, f64::MIN_POSITIVE), Duration::MAX);
        let mut never = Openings::default();
        let now = Instant::now();
        assert_eq!(never.left(0.0, now), None);
        assert_eq!(never.left(0.0, now + 1000 * second), None);
    }

    #[test]
    fn a_client_that_misses_an_opening_finds_another_soon() {
        let mut openings = Openings::default();
        let mut now = Instant::now();
        let next = |openings: &mut Openings, now: &mut Instant| {
            let start = *now;
            while openings.left(SHARE, *now).is_none() {
                *now += TIME;
            }
            *now - start
        };
        next(&mut openings, &mut now);
        now += OPEN_FOR;
        openings.since = None;
        let unknown = next(&mut openings, &mut now);
        openings.visited(now + TIME);
        next(&mut openings, &mut now);
        now += OPEN_FOR;
        openings.since = None;
        let missed = next(&mut openings, &mut now);
        assert!(missed < unknown * 2 / 3, "{missed:?}, {unknown:?}");
    }

    #[test]
    fn hand_overs_end_no_sooner_for_a_client_that_polls() {
        let mut fairness = Fairness::default();
        let mut now = Instant::now();
        until_open(&mut fairness, &mut now);
        fairness.note(Sign::Came, now);
        fairness.note(Sign::Held, now);
        assert_eq!(fairness.fair_hand_over_time(TIME, now), TIME);
        now += 2 * VISITOR_FOR;
        fairness.note(Sign::Held, now);
        assert!(fairness.fair_hand_over_time(TIME, now) < TIME);
    }

    #[test]
    fn an_opening_ends_in_time_whoever_is_at_the_head() {
        let mut fairness = Fairness::default();
        let mut now = Instant::now();
        until_open(&mut fairness, &mut now);
        // The head leaves, and the next is notified.
        now += OPEN_FOR / 4;
        let left = Some(Stay::Open(OPEN_FOR * 3 / 4));
        assert_eq!(fairness.stay_back(TIME, SHARE, now), left);
        now += OPEN_FOR;
        let stay = fairness.stay_back(TIME, SHARE, now);
        assert!(!matches!(stay, Some(Stay::Open(_))), "{stay:?}");
    }

    #[test]
    fn a_process_for_which_half_the_time_was_too_short_is_gone() {
        let mut fairness = Fairness::default();
        let now = Instant::now();
        fairness.note(Sign::Held, now);
        let mut stays = Duration::ZERO;
        while let Some(Stay::For(stay)) = fairness.stay_back(TIME, SHARE, now) {
            fairness.note(Sign::NobodyCame(stay), now);
            stays += stay;
        }
        assert!(stays <= 2 * TIME, "{stays:?}");
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

    #[test]
    fn a_process_that_cannot_see_others_stays_back_for_a_part_of_the_time() {
        let stays: Vec<_> = (0..200).map(|_| blind_stay(TIME)).collect();
        let longest = TIME / BLIND_PART;
        assert!(stays.iter().all(|stay| *stay < longest));
        // By chance, the longest of so many is not much shorter.
        assert!(stays.iter().any(|stay| *stay > longest / 2));
        let pauses: Vec<_> = (0..200).map(|_| pauses_after_division()).collect();
        assert!(pauses.contains(&true) && pauses.contains(&false));
    }

    #[test]
    fn a_name_that_nodes_report_as_free_is_left_open_unless_others_want_it() {
        let mut fairness = Fairness::default();
        let now = Instant::now();
        assert_eq!(fairness.opening(SHARE, now), None);
        let later = now + rest(UNVISITED, SHARE);
        assert_eq!(fairness.opening(SHARE, later), Some(OPEN_FOR));
        fairness.note(Sign::Held, later);
        assert_eq!(fairness.opening(SHARE, later), None);
    }
}
