//! The pauses between the polls of a waiter where those that the user chose are too short: while
//! the waiter is woken, in an outage, and after an attempt that took long.

use std::time::Duration;

use crate::options::Retry;

/// The shortest pause between the polls of a waiter that is woken.
pub(super) const SHORTEST_RARE: Duration = Duration::from_secs(1);

/// The longest pause between the polls of a waiter that is woken. If a wake-up gets lost although
/// its connection lives, the waiter finds out after this time and a usual pause: within ten
/// seconds.
const LONGEST_RARE: Duration = Duration::from_secs(9);

/// The same, if an outage is to end the call. Where wake-ups work and locks do not, a waiter
/// notices that at its polls.
const LONGEST_BEFORE_OUTAGE: Duration = Duration::from_secs(2);

/// After this many attempts in a row that found no quorum of nodes, the pauses grow.
const FREE_OUTAGES: u32 = 3;

/// The bounds of the pause after such an attempt. The longest is short enough that locks are soon
/// granted again when the nodes are back.
const SHORTEST_IN_OUTAGE: Duration = Duration::from_millis(250);
const LONGEST_IN_OUTAGE: Duration = Duration::from_secs(1);

/// The longest pause after an attempt that took longer than its pause.
const LONGEST_AFTER_SLOW: Duration = Duration::from_secs(1);

/// Draws the least pause after this number of rare polls in a row.
pub(super) fn rare(retry: &Retry, polls: u32) -> Duration {
    let longest = if retry.outage_attempts < u32::MAX {
        LONGEST_BEFORE_OUTAGE
    } else {
        LONGEST_RARE
    };
    jittered(doubled(2 * SHORTEST_RARE, polls).min(longest))
}

/// Draws the least pause after this number of attempts in a row that found no quorum of nodes, if
/// it has grown.
pub(super) fn in_outage(outages: u32) -> Option<Duration> {
    let times = outages.checked_sub(FREE_OUTAGES)?;
    let pause = doubled(SHORTEST_IN_OUTAGE, times).min(LONGEST_IN_OUTAGE);
    Some(jittered(pause))
}

/// The least pause after an attempt that took this long, and longer than its pause: as long again.
/// So waiters ask less of nodes that answer late, and in a process that is late itself.
pub(super) fn after_slow(attempt: Duration) -> Duration {
    attempt.min(LONGEST_AFTER_SLOW)
}

/// Doubles a pause this many times.
fn doubled(pause: Duration, times: u32) -> Duration {
    pause.saturating_mul(1 << times.min(16))
}

/// Draws a pause between half of this one and all of it, so that those who began together do not
/// poll together.
fn jittered(pause: Duration) -> Duration {
    pause / 2 + (pause / 2).mul_f64(fastrand::f64())
}
