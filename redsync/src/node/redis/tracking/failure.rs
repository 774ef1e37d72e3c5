//! How connecting for wake-ups has failed, and when it is tried again.

use std::{mem, time::Duration};

use tokio::time::Instant;

use crate::node::NodeError;

/// The pause after a server could not be reached, or has failed otherwise for the first time.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A server or proxy that refuses to track, or closes the connection instead, is asked again after
/// ever longer pauses, each twice as long, up to this. A server that can track may take its place
/// at any time, and waiters poll until that is noticed.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

#[derive(Default)]
pub(super) struct Failure {
    /// None if connecting has succeeded since.
    last: Option<Last>,
    /// Whether the log says that the server does not track.
    is_reported: bool,
}

struct Last {
    at: Instant,
    pause: Duration,
}

impl Failure {
    /// Whether it is too early to try again.
    pub(super) fn is_recent(&self, now: Instant) -> bool {
        let over = |last: &Last| now.saturating_duration_since(last.at) >= last.pause;
        self.last.as_ref().is_some_and(|last| !over(last))
    }

    /// Notes a failure. Returns whether it is to be reported.
    pub(super) fn failed(&mut self, error: &NodeError, now: Instant) -> bool {
        let pause = match (&self.last, error) {
            (None, _) | (_, NodeError::Unreachable(_)) => FIRST_PAUSE,
            (Some(last), _) => (2 * last.pause).min(LONGEST_PAUSE),
        };
        self.last = Some(Last { at: now, pause });
        let says_something = match error {
            // That the server is away shows in the answers about locks, too.
            NodeError::Unreachable(_) => false,
            // It may have restarted, but not twice.
            NodeError::Disconnected(_) => pause > FIRST_PAUSE,
            _ => true,
        };
        says_something && !mem::replace(&mut self.is_reported, true)
    }

    /// Notes that the server tracks. Returns whether that is to be reported.
    pub(super) fn is_over(&mut self) -> bool {
        self.last = None;
        mem::take(&mut self.is_reported)
    }
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use super::*;

    fn closed() -> NodeError {
        NodeError::Disconnected(Arc::new(io::Error::from(io::ErrorKind::UnexpectedEof)))
    }

    /// The pauses after failures of one kind in a row.
    fn pauses(error: &NodeError) -> Vec<u64> {
        let (mut failure, mut now) = (Failure::default(), Instant::now());
        let mut pause = || {
            failure.failed(error, now);
            let failed_at = now;
            while failure.is_recent(now) {
                now += FIRST_PAUSE;
            }
            (now - failed_at).as_secs()
        };
        (0..8).map(|_| pause()).collect()
    }

    #[test]
    fn a_server_that_does_not_track_is_asked_ever_more_rarely() {
        let ever_longer = [1, 2, 4, 8, 16, 32, 60, 60];
        assert_eq!(pauses(&closed()), ever_longer);
        assert_eq!(pauses(&NodeError::refused("NOPERM", "")), ever_longer);
    }

    #[test]
    fn a_server_that_is_away_is_asked_again_soon() {
        assert_eq!(pauses(&NodeError::unreachable("refused")), [1; 8]);
    }

    #[test]
    fn after_a_success_the_pauses_begin_anew() {
        let (mut failure, now) = (Failure::default(), Instant::now());
        for _ in 0..8 {
            failure.failed(&closed(), now);
        }
        assert!(failure.is_over());
        assert!(!failure.is_recent(now));
        failure.failed(&closed(), now);
        assert!(failure.is_recent(now));
        assert!(!failure.is_recent(now + FIRST_PAUSE));
    }

    #[test]
    fn a_refusal_is_reported_once_and_a_lost_connection_when_it_is_repeated() {
        let now = Instant::now();
        let reported = |errors: [NodeError; 3]| {
            let mut failure = Failure::default();
            errors.map(|error| failure.failed(&error, now))
        };
        let refused = || NodeError::refused("NOPERM", "");
        assert_eq!(reported([(); 3].map(|()| refused())), [true, false, false]);
        assert_eq!(reported([(); 3].map(|()| closed())), [false, true, false]);
        let away = || NodeError::unreachable("refused");
        assert_eq!(reported([closed(), away(), away()]), [false; 3]);
    }
}
