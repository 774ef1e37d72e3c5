//! How long a process stays back after a release.

use std::time::Duration;

use tokio::time::Instant;

use super::constants::{CHANCE_EVERY, CHANCE_PART, SHORTEST_STAY};

/// The stays of this process after its releases.
///
/// A process that is farther from the nodes may need longer to come than this one needs to check
/// whether somebody has come. So if others want the name, this process stays back, and each time
/// that nobody came, it stays twice as long, up to half of the time for hand-overs. If nobody came
/// even then, the others are gone. (Without this end, two tasks that hold the name for 8 ms do a
/// quarter of their sections beside a client that polls and holds it for 5 ms.) If it knows of no
/// others, it stays back only now and then, so that they have a chance to be seen.
#[derive(Default)]
pub(super) struct Stays {
    /// The last stay that was too short for others to come.
    too_short: Duration,
    /// When it last stayed back for others that it did not know of.
    last_chance: Option<Instant>,
}

impl Stays {
    /// Notes that nobody came while this process stayed back for this long.
    pub(super) const fn was_too_short(&mut self, stay: Duration) {
        self.too_short = stay;
    }

    /// Returns how long to stay back for others that are known to want the name, unless they are
    /// gone.
    pub(super) fn for_known(&self, time: Duration) -> Option<Duration> {
        let longest = time / 2;
        (self.too_short < longest).then(|| (2 * self.too_short).clamp(SHORTEST_STAY, longest))
    }

    /// Returns how long to stay back for others that are not known, if it is time for that.
    pub(super) fn by_chance(&mut self, time: Duration, now: Instant) -> Option<Duration> {
        self.too_short = Duration::ZERO;
        if now - *self.last_chance.get_or_insert(now) < CHANCE_EVERY {
            return None;
        }
        self.last_chance = Some(now);
        Some(time / CHANCE_PART)
    }
}
