//! The dialect of a server: the optional commands that it is known to have.
//!
//! It is learned by use: a server that refuses a command has not carried it out.

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use super::command::Arguments;
use crate::node::NodeError;

/// The dialect of one server, as far as it is known.
#[derive(Default)]
pub(super) struct Dialect {
    delete_if_equal: AtomicU8,
    /// Whether the present one of these commands has been answered.
    has_deleted: AtomicBool,
    can_release: AtomicBool,
}

/// A command that deletes a key if it has a given value. It takes the server half the time of a
/// script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeleteIfEqual {
    /// `DELIFEQ key value`: Valkey, from 9.0.
    Delifeq,
    /// `DELEX key IFEQ value`: Redis, from 8.4.
    Delex,
}

impl DeleteIfEqual {
    /// Writes the command.
    pub(super) fn write(self, name: &[u8], value: &[u8], command: &mut impl Arguments) {
        match self {
            Self::Delifeq => {
                command.arg(b"DELIFEQ");
                command.arg(name);
                command.arg(value);
            }
            Self::Delex => {
                command.arg(b"DELEX");
                command.arg(name);
                command.arg(b"IFEQ");
                command.arg(value);
            }
        }
    }
}

impl Dialect {
    /// The command to delete with, if the server is not known to have none.
    pub(super) fn delete_if_equal(&self) -> Option<DeleteIfEqual> {
        // Relaxed, like all orderings here: the values protect no other data, and an outdated one
        // costs one more command.
        match self.delete_if_equal.load(Ordering::Relaxed) {
            0 => Some(DeleteIfEqual::Delifeq),
            1 => Some(DeleteIfEqual::Delex),
            _ => None,
        }
    }

    /// Notes that the server refuses this command.
    pub(super) fn lacks(&self, command: DeleteIfEqual) {
        let next = match command {
            DeleteIfEqual::Delifeq => 1,
            DeleteIfEqual::Delex => 2,
        };
        // Relaxed: see `delete_if_equal`. The maximum, so that a late refusal of the first command
        // does not bring the second one back.
        self.delete_if_equal.fetch_max(next, Ordering::Relaxed);
    }

    /// Notes that the server has carried out the command to delete with.
    pub(super) fn note_deletion(&self) {
        // Relaxed: see `delete_if_equal`. The value changes once.
        if !self.has_deleted.load(Ordering::Relaxed) {
            self.has_deleted.store(true, Ordering::Relaxed);
        }
    }

    /// Notes that the connection was closed in place of an answer to this command. A proxy may refuse it
    /// in this way. If it was answered before, the server has restarted, or the network is at fault.
    pub(super) fn was_cut_off_at(&self, command: DeleteIfEqual) {
        // Relaxed: see `delete_if_equal`.
        if !self.has_deleted.load(Ordering::Relaxed) {
            self.lacks(command);
        }
    }

    /// Whether the server is known to release what it has acquired.
    pub(super) fn can_release(&self) -> bool {
        // Relaxed: see `delete_if_equal`.
        self.can_release.load(Ordering::Relaxed)
    }

    pub(super) fn note_release(&self) {
        // Relaxed: see `delete_if_equal`.
        self.can_release.store(true, Ordering::Relaxed);
    }
}

/// Whether the server may have refused this command and still carry out another one that does the
/// same.
///
/// Servers, and proxies before them, refuse commands in words of their own. So all words count as
/// such a refusal, except those by which Redis and Valkey describe their state, in which they would
/// refuse the other command too.
pub(super) fn may_do_otherwise(error: &NodeError) -> bool {
    let NodeError::Refused { code, .. } = error else {
        return false;
    };
    !matches!(
        &**code,
        "NOAUTH"
            | "WRONGPASS"
            | "LOADING"
            | "BUSY"
            | "READONLY"
            | "OOM"
            | "MISCONF"
            | "NOREPLICAS"
            | "MASTERDOWN"
            | "CLUSTERDOWN"
            | "TRYAGAIN"
            | "MOVED"
            | "ASK"
            | "CROSSSLOT"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_was_answered_once_is_not_doubted_when_a_connection_ends() {
        let dialect = Dialect::default();
        dialect.was_cut_off_at(DeleteIfEqual::Delifeq);
        assert_eq!(dialect.delete_if_equal(), Some(DeleteIfEqual::Delex));
        dialect.note_deletion();
        dialect.was_cut_off_at(DeleteIfEqual::Delex);
        assert_eq!(dialect.delete_if_equal(), Some(DeleteIfEqual::Delex));
    }

    #[test]
    fn a_refusal_in_any_words_is_about_the_command() {
        for (code, message) in [
            ("ERR", "unknown command 'DELIFEQ'"),
            ("unsupported", "command 'info'"),
            ("DENIED", ""),
            ("NOPERM", "this user has no permissions"),
            ("", "??"),
        ] {
            assert!(may_do_otherwise(&NodeError::refused(code, message)));
        }
        for code in ["LOADING", "READONLY", "OOM", "NOAUTH"] {
            assert!(!may_do_otherwise(&NodeError::refused(code, "")));
        }
        assert!(!may_do_otherwise(&NodeError::TimedOut));
    }
}
