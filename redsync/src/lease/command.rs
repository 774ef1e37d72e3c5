//! The command of a round to every node, and up to when it may be sent.
//!
//! Pure: it does no I/O and has no clock of its own. So the model checker drives it as it is.

use tokio::time::Instant;

use crate::{FencingToken, node::Operation};

/// The command of a round to every node.
#[derive(Clone)]
pub(crate) struct Command {
    pub(crate) operation: Operation,
    /// The token that counters are raised to, if there is one.
    pub(crate) token: Option<FencingToken>,
    /// When it was about to be sent.
    pub(crate) start: Instant,
    asked: Asked,
}

/// Up to when a command may be sent.
#[derive(Clone, Copy)]
enum Asked {
    Always,
    /// Up to this instant, while the lease is valid.
    Until(Instant),
    WhileValid,
}

impl Command {
    const fn new(operation: Operation, start: Instant) -> Self {
        Self {
            operation,
            token: None,
            start,
            asked: Asked::Always,
        }
    }

    pub(crate) const fn acquire(start: Instant) -> Self {
        Self::new(Operation::Acquire, start)
    }

    /// Raises lower counters to `token`.
    pub(crate) const fn raise(token: FencingToken, start: Instant) -> Self {
        Self {
            token: Some(token),
            ..Self::new(Operation::Raise, start)
        }
    }

    /// Extends the keys. No node is asked after the validity, or after `limit` if there is one.
    pub(crate) fn extend(
        token: Option<FencingToken>,
        limit: Option<Instant>,
        start: Instant,
    ) -> Self {
        Self {
            token,
            asked: limit.map_or(Asked::WhileValid, Asked::Until),
            ..Self::new(Operation::Extend, start)
        }
    }

    /// Asks the nodes to extend the keys of a lease that nobody holds.
    pub(super) const fn test_extension(start: Instant) -> Self {
        Self::new(Operation::Extend, start)
    }

    /// Sets the keys again on nodes that were found without them. No node is asked after the
    /// validity.
    pub(crate) const fn heal(token: Option<FencingToken>, start: Instant) -> Self {
        Self {
            token,
            asked: Asked::WhileValid,
            ..Self::new(Operation::Heal, start)
        }
    }

    pub(crate) const fn release(start: Instant) -> Self {
        Self::new(Operation::Release, start)
    }

    /// Whether it may be sent at `now`. When the lease `has_ended`, only a release may. An extension
    /// may not be sent after `until`, when the validity is over.
    pub(crate) fn may_be_sent(
        &self,
        now: Instant,
        has_ended: bool,
        until: impl FnOnce() -> Instant,
    ) -> bool {
        let is_early = || match self.asked {
            Asked::Always => true,
            Asked::Until(limit) => now < limit.min(until()),
            Asked::WhileValid => now < until(),
        };
        self.operation == Operation::Release || !has_ended && is_early()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Whether a command is sent up to `end` and not after it, for a lease that is valid up to
    /// `until`.
    #[track_caller]
    fn is_sent_before(command: &Command, until: Instant, end: Instant) {
        let is_sent = |now| command.may_be_sent(now, false, || until);
        assert!(is_sent(end - Duration::from_nanos(1)));
        assert!(!is_sent(end));
        assert!(!is_sent(end + SECOND));
    }

    #[test]
    fn an_extension_is_sent_while_the_lease_is_valid_and_before_its_limit() {
        let start = Instant::now();
        let (soon, later) = (start + SECOND, start + 2 * SECOND);
        let up_to = |limit| Command::extend(None, limit, start);
        is_sent_before(&up_to(Some(soon)), later, soon);
        is_sent_before(&up_to(Some(later)), soon, soon);
        is_sent_before(&up_to(None), soon, soon);
        is_sent_before(&Command::heal(None, start), soon, soon);
    }

    #[test]
    fn other_commands_are_sent_without_a_validity_and_after_the_end_only_a_release() {
        let start = Instant::now();
        let release = Command::release(start);
        for command in [
            Command::acquire(start),
            Command::raise(FencingToken::new(7), start),
            Command::test_extension(start),
            release.clone(),
        ] {
            assert!(command.may_be_sent(start, false, || start));
        }
        for command in [
            Command::acquire(start),
            Command::raise(FencingToken::new(7), start),
            Command::extend(None, None, start),
            Command::heal(None, start),
        ] {
            assert!(!command.may_be_sent(start, true, || start + SECOND));
        }
        assert!(release.may_be_sent(start, true, || start));
    }

    #[test]
    fn commands_that_raise_counters_or_set_keys_again_carry_the_token() {
        let (token, start) = (FencingToken::new(7), Instant::now());
        for command in [
            Command::raise(token, start),
            Command::extend(Some(token), None, start),
            Command::heal(Some(token), start),
        ] {
            assert_eq!(command.token, Some(token));
        }
    }
}
