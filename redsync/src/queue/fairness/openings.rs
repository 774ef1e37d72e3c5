//! Leaving a name open for clients that poll.

use std::time::Duration;

use tokio::time::Instant;

use super::constants::{OPEN_FOR, UNVISITED, VISITOR_FOR};

/// The openings of a name: the times for which it is left open for clients that poll.
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
pub(super) struct Openings {
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
    pub(super) fn left(&mut self, share: f64, now: Instant) -> Option<Duration> {
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

    /// Ends the present opening, if there is one, because this process has acquired the name.
    pub(super) const fn close(&mut self) {
        self.since = None;
    }

    /// Notes that somebody came.
    pub(super) fn visited(&mut self, now: Instant) {
        if let Some(since) = self.since.take() {
            self.end = Some(now);
            self.length = Some(now - since);
            self.visit = Some(now);
        }
    }

    /// Whether somebody comes whenever the name is open.
    pub(super) fn have_visitor(&self, now: Instant) -> bool {
        self.visit.is_some_and(|visit| now - visit < VISITOR_FOR)
    }
}

/// For how long the name is not open again after it was open for some time.
pub(super) fn rest(open: Duration, share: f64) -> Duration {
    let open = open.as_secs_f64();
    // A share of zero means that the name is never open.
    Duration::try_from_secs_f64(open / share - open).unwrap_or(Duration::MAX)
}
