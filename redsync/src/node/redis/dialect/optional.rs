//! A command that a server, or a proxy before it, may not have.

use std::{
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use crate::sync::Mutex;

/// How long a command is not sent after a connection was closed at it for the first time. A server
/// that has restarted at that moment then does without the command for no longer.
const FIRST_DOUBT: Duration = Duration::from_secs(60);

/// The doubt is twice as long each time, up to this. Behind a proxy that closes connections, the
/// commands that share the connection fail each time.
const LONGEST_DOUBT: Duration = Duration::from_secs(24 * 60 * 60);

/// An optional command of one server, as far as it is known.
#[derive(Default)]
pub(crate) struct Optional {
    state: AtomicU8,
    doubt: Mutex<Option<Doubt>>,
}

// The states. A command that was answered once is not doubted: if a connection is closed at it, the
// server has restarted, or the network is at fault.
const UNKNOWN: u8 = 0;
const DOUBTED: u8 = 1;
const KNOWN: u8 = 2;
const REFUSED: u8 = 3;

/// The doubt that follows a connection that was closed in place of an answer.
#[derive(Clone, Copy)]
struct Doubt {
    ends: Instant,
    length: Duration,
}

impl Optional {
    /// Whether the command may be sent, if it may also be repeated.
    pub(crate) fn may_be_sent(&self) -> bool {
        match self.state() {
            UNKNOWN | KNOWN => true,
            DOUBTED => self.doubt.lock().is_none_or(Doubt::is_over),
            _ => false,
        }
    }

    /// Whether the command has been answered.
    pub(crate) fn is_known(&self) -> bool {
        self.state() == KNOWN
    }

    fn state(&self) -> u8 {
        // Relaxed, like all orderings here: the state protects no other data, and an outdated one
        // costs one more command.
        self.state.load(Ordering::Relaxed)
    }

    pub(crate) fn was_answered(&self) {
        // Not stored each time, because all connections share it.
        if self.state() != KNOWN {
            self.state.store(KNOWN, Ordering::Relaxed);
        }
    }

    /// Notes that the server has refused the command, and not carried it out.
    pub(crate) fn was_refused(&self) {
        self.state.store(REFUSED, Ordering::Relaxed);
    }

    /// Notes that the connection was closed in place of an answer. The server may have carried the
    /// command out.
    pub(crate) fn was_cut_off(&self) {
        let mut doubt = self.doubt.lock();
        let doubted =
            (self.state).compare_exchange(UNKNOWN, DOUBTED, Ordering::Relaxed, Ordering::Relaxed);
        if !matches!(doubted, Ok(_) | Err(DOUBTED)) {
            return;
        }
        let length = match *doubt {
            None => FIRST_DOUBT,
            Some(last) if last.is_over() => (2 * last.length).min(LONGEST_DOUBT),
            // Several commands were under way on the connection.
            Some(_) => return,
        };
        let ends = Instant::now() + length;
        *doubt = Some(Doubt { ends, length });
    }
}

impl Doubt {
    fn is_over(self) -> bool {
        Instant::now() >= self.ends
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_command_at_which_connections_are_closed_is_sent_ever_more_rarely() {
        let command = Optional::default();
        assert!(command.may_be_sent() && !command.is_known());
        for times in [1, 2, 4, 8] {
            // All that were under way.
            for _ in 0..3 {
                command.was_cut_off();
            }
            advance(times * FIRST_DOUBT - Duration::from_millis(1)).await;
            assert!(!command.may_be_sent());
            advance(Duration::from_millis(1)).await;
            assert!(command.may_be_sent() && !command.is_known());
        }
        for _ in 0..40 {
            command.was_cut_off();
            advance(LONGEST_DOUBT).await;
            assert!(command.may_be_sent());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_restart_is_not_held_against_a_command_for_long() {
        let command = Optional::default();
        command.was_cut_off();
        advance(FIRST_DOUBT).await;
        command.was_answered();
        for _ in 0..10 {
            command.was_cut_off();
            assert!(command.may_be_sent() && command.is_known());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_command_that_was_refused_is_not_sent_again() {
        let command = Optional::default();
        command.was_refused();
        command.was_cut_off();
        advance(2 * LONGEST_DOUBT).await;
        assert!(!command.may_be_sent() && !command.is_known());
    }
}
