//! The health of a connection: how many commands are unanswered, and since when.
//!
//! A silence begins when a command is sent and nothing is answered. Only a reply ends it, not a
//! caller that stops waiting.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Clone, Copy)]
pub(crate) struct Health {
    unanswered: usize,
    /// Since when nothing has been answered while commands were under way.
    silent_since: Option<Instant>,
    last_reply: Instant,
}

impl Health {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            unanswered: 0,
            silent_since: None,
            last_reply: now,
        }
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.unanswered += 1;
        self.silent_since.get_or_insert(now);
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.last_reply = now;
        self.silent_since = Some(now);
    }

    /// Notes that this number of commands are no longer under way.
    pub(super) fn over(&mut self, commands: usize) {
        self.unanswered -= commands;
        if self.unanswered == 0 {
            self.silent_since = None;
        }
    }

    /// How many commands are unanswered.
    pub(crate) const fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// How long nothing has been answered while commands were under way.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        self.silent_since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// How long no command has been under way.
    pub(crate) fn rest(&self, now: Instant) -> Duration {
        match self.silent_since {
            Some(_) => Duration::ZERO,
            None => now.saturating_duration_since(self.last_reply),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_reply_ends_a_silence() {
        let start = Instant::now();
        let second = Duration::from_secs(1);
        let mut health = Health::new(start);
        assert_eq!(health.rest(start + second), second);
        health.sent(start + second);
        health.sent(start + 2 * second);
        assert_eq!(health.silence(start + 3 * second), 2 * second);
        assert_eq!(health.rest(start + 3 * second), Duration::ZERO);
        health.heard(start + 3 * second);
        health.over(1);
        assert_eq!(health.unanswered(), 1);
        assert_eq!(health.silence(start + 4 * second), second);
        health.over(1);
        assert_eq!(health.silence(start + 4 * second), Duration::ZERO);
        assert_eq!(health.rest(start + 4 * second), second);
    }
}
