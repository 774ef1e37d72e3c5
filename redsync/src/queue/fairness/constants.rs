//! The constants of [fairness](super), and what each of them is worth.
//!
//! Each has beside it the figure that the benchmark gives without it, for four processes of 16
//! tasks that hold a name for 2 ms each:
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
//! For clients that poll, the figures are those of the test `pollers` of the test program
//! `waiting`, in a minute of virtual time: a client that does what go-redsync does beside 16 tasks
//! that hold the name for 2 ms. With all of them, it gets 158 locks, no call fails, and the 16
//! tasks do 23,543 sections; without [openings](super::openings), it gets 56 locks, two calls fail,
//! and there are 27,115 sections.
//!
//! ```sh
//! cargo test -p redsync-tests --all-features --test waiting pollers -- --nocapture
//! ```

use std::time::Duration;

/// How long another process is assumed to want the name after it was seen with it. Zero switches
/// off [shorter hand-overs](super::Fairness::fair_hand_over_time) and [staying back](super::stays)
/// for known processes: the wait is then 328 ms.
pub(super) const WANTED_FOR: Duration = Duration::from_millis(500);

/// The time for hand-overs is divided by this while another process wants the name. One switches
/// this off: the wait is then 287 ms. (A section then costs 144 µs, because more of them are
/// hand-overs.)
pub(super) const CONTENDED_PART: u32 = 10;

/// The shortest time for which a process stays back if another is known to want the name. With
/// zero, the wait is 303 ms.
pub(super) const SHORTEST_STAY: Duration = Duration::from_millis(1);

/// The shortest time for hand-overs from which stays are derived: a shorter one counts as this. If
/// hand-overs are switched off, other processes still need a moment to come. (The benchmark does
/// not switch them off.)
pub(super) const LEAST_TIME: Duration = Duration::from_millis(10);

/// The interval at which a process stays back for others that it does not know of.
/// [`Duration::MAX`] switches this off: if another process always wants the name and is nearer to
/// the nodes, one that is farther away then never gets it. (The benchmark has no such process; the
/// tests of waiting have one.)
pub(super) const CHANCE_EVERY: Duration = Duration::from_millis(500);

/// The time for hand-overs is divided by this to get the length of such a stay. With the default of
/// 50 ms it is 6 ms, which is enough for a process that is a few milliseconds away from the nodes.
/// (The benchmark has no such process.)
pub(super) const CHANCE_PART: u32 = 8;

/// The longest time for which a process leaves the name [open](super::openings) for clients that
/// poll. It is the longest pause of go-redsync's defaults, and the time of an attempt. With
/// openings of 60 ms that are more frequent, a client gets 111 locks, and calls fail.
pub(super) const OPEN_FOR: Duration = Duration::from_millis(260);

/// An opening to which nobody came counts as one of this length, so that the name is open less
/// often where nobody polls. With the default share, the name is then not open for 3.9 s, which is
/// often enough for a client that makes 32 attempts, which take 4.7 s, to find it open; without
/// such a client, the 16 tasks do 6 % fewer sections. If somebody came to the one before, it counts
/// as it is: a client on a busy machine may have missed it, and finds another before its attempts
/// are over.
pub(super) const UNVISITED: Duration = OPEN_FOR.saturating_mul(5).checked_div(3).unwrap();

/// Somebody who came to an opening this long ago may still come to the next one: with the default
/// share, there has been one since.
pub(super) const VISITOR_FOR: Duration = OPEN_FOR.saturating_mul(10);

/// The most changes of hands for which a process lets others come first. Zero switches it off: the
/// wait is then 350 ms, and there are rounds in which one process gets nothing.
pub(super) const MOST_CHANGES: u32 = 3;

/// After this many acquisitions in a row that came earlier than usual, the usual number of changes
/// is learned anew. With one, the wait is 350 ms, and the smallest share 0.28.
pub(super) const RELEARNED_AFTER: u32 = 8;

/// The rest of a release in this process takes no longer than this. A change that comes later is a
/// hold by another process. (The nodes of the benchmark are nearer than that.)
pub(crate) const OWN_RELEASE: Duration = Duration::from_millis(1);

/// The length of a [pause](super::pauses_after_division) after an attempt in which this process and
/// others each acquired only some of the nodes. It is several rounds long if the nodes are near;
/// the figure without it is beside the function.
pub(crate) const DIVISION_PAUSE: Duration = Duration::from_millis(1);

/// After this many attempts that followed a wake-up and failed, a waiter first checks whether the
/// name is free: a failed attempt can itself be a change that wakes others. It does so every other
/// time, because who checks comes later than who does not. [`u32::MAX`] switches it off: a section
/// then costs 316 µs.
pub(crate) const FAILED_WAKE_UPS: u32 = 5;

/// The time for hand-overs is divided by this to get the longest time for which a process stays
/// back if it cannot see whether others come. (The nodes of the benchmark show it.)
pub(super) const BLIND_PART: u32 = 4;
