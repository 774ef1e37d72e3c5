//! The health of a connection: how many commands are unanswered, and since when.
//!
//! A silence begins when a command is sent and nothing is answered. Only a reply ends it, not a
//! caller that stops waiting.

use std::time::Duration;

use tokio::time::Instant;

/// The bounds of the time that a connection may be silent before it is checked. Between them, it is
/// twice as long as its replies have taken, so that a slow server is not suspected again and again.
const MIN_LIMIT: Duration = Duration::from_millis(200);
const MAX_LIMIT: Duration = Duration::from_millis(800);

#[derive(Clone, Copy)]
pub(crate) struct Health {
    unanswered: usize,
    /// Since when nothing has been answered although commands were sent.
    silent_since: Option<Instant>,
    last_reply: Instant,
    /// The longest silence that a reply has ended. It shrinks with each reply.
    slowest: Duration,
    /// Until when the connection is used although it is silent.
    trusted_until: Option<Instant>,
}

impl Health {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            unanswered: 0,
            silent_since: None,
            last_reply: now,
            slowest: Duration::ZERO,
            trusted_until: None,
        }
    }

    pub(super) fn sent(&mut self, now: Instant) {
        self.unanswered += 1;
        self.silent_since.get_or_insert(now);
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.slowest = self.silence(now).max(self.slowest / 8 * 7);
        self.last_reply = now;
        self.silent_since = Some(now);
        self.trusted_until = None;
    }

    /// Notes that this number of commands have been answered, or were not sent after all.
    pub(super) fn over(&mut self, commands: usize) {
        self.unanswered -= commands;
        if self.unanswered == 0 {
            self.silent_since = None;
        }
    }

    /// Notes that nobody waits for the replies to this number of commands any longer.
    pub(super) fn abandoned(&mut self, commands: usize) {
        self.unanswered -= commands;
    }

    /// Uses the connection until then, although it is silent.
    pub(super) fn trust_until(&mut self, until: Instant) {
        self.trusted_until = Some(until);
    }

    /// How many commands are unanswered.
    pub(crate) const fn unanswered(&self) -> usize {
        self.unanswered
    }

    /// How long nothing has been answered although commands were sent.
    pub(crate) fn silence(&self, now: Instant) -> Duration {
        self.silent_since
            .map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }

    /// How long the connection may be silent before it is checked.
    pub(crate) fn limit(&self) -> Duration {
        (2 * self.slowest).clamp(MIN_LIMIT, MAX_LIMIT)
    }

    /// Whether the connection has been silent for too long.
    pub(crate) fn is_silent(&self, now: Instant) -> bool {
        self.silence(now) > self.limit() && self.trusted_until.is_none_or(|until| now >= until)
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

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn only_a_reply_ends_a_silence() {
        let start = Instant::now();
        let mut health = Health::new(start);
        assert_eq!(health.rest(start + SECOND), SECOND);
        health.sent(start + SECOND);
        health.sent(start + 2 * SECOND);
        assert_eq!(health.silence(start + 3 * SECOND), 2 * SECOND);
        assert_eq!(health.rest(start + 3 * SECOND), Duration::ZERO);
        health.heard(start + 3 * SECOND);
        health.over(1);
        assert_eq!(health.unanswered(), 1);
        assert_eq!(health.silence(start + 4 * SECOND), SECOND);
        health.abandoned(1);
        assert_eq!(health.unanswered(), 0);
        assert_eq!(health.silence(start + 5 * SECOND), 2 * SECOND);
        health.sent(start + 5 * SECOND);
        health.heard(start + 6 * SECOND);
        health.over(1);
        assert_eq!(health.silence(start + 7 * SECOND), Duration::ZERO);
        assert_eq!(health.rest(start + 7 * SECOND), SECOND);
    }

    #[test]
    fn a_slow_server_is_given_more_time() {
        let mut now = Instant::now();
        let mut health = Health::new(now);
        assert_eq!(health.limit(), MIN_LIMIT);
        let mut reply = |health: &mut Health, after| {
            health.sent(now);
            now += after;
            health.heard(now);
            health.over(1);
        };
        let slow = Duration::from_millis(300);
        reply(&mut health, slow);
        assert_eq!(health.limit(), 2 * slow);
        reply(&mut health, 100 * slow);
        assert_eq!(health.limit(), MAX_LIMIT);
        (0..100).for_each(|_| reply(&mut health, Duration::ZERO));
        assert_eq!(health.limit(), MIN_LIMIT);
    }

    #[test]
    fn a_silent_connection_can_be_trusted_for_a_while() {
        let start = Instant::now();
        let mut health = Health::new(start);
        health.sent(start);
        assert!(!health.is_silent(start + MIN_LIMIT));
        assert!(health.is_silent(start + SECOND));
        health.trust_until(start + 2 * SECOND);
        assert!(!health.is_silent(start + SECOND));
        assert!(health.is_silent(start + 2 * SECOND));
    }
}
