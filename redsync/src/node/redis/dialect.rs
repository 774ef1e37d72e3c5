//! The dialect of a server: the optional commands that it is known to have.
//!
//! It is learned by use: a server that refuses a command has not carried it out.

use std::sync::atomic::{AtomicBool, Ordering};

use self::optional::Optional;
use super::command::Arguments;
use crate::node::NodeError;

mod optional;

/// The dialect of one server, as far as it is known.
#[derive(Default)]
pub(super) struct Dialect {
    delifeq: Optional,
    delex: Optional,
    /// `EVALSHA`.
    pub(super) run_by_hash: Optional,
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
    /// The command to delete with, if the server may have one.
    pub(super) fn delete_if_equal(&self) -> Option<DeleteIfEqual> {
        let commands = [DeleteIfEqual::Delifeq, DeleteIfEqual::Delex];
        commands
            .into_iter()
            .find(|command| self.delete(*command).may_be_sent())
    }

    pub(super) const fn delete(&self, command: DeleteIfEqual) -> &Optional {
        match command {
            DeleteIfEqual::Delifeq => &self.delifeq,
            DeleteIfEqual::Delex => &self.delex,
        }
    }

    /// Whether the server is known to release what it has acquired.
    pub(super) fn can_release(&self) -> bool {
        // Relaxed, like the other: it protects no other data, and an outdated value costs one more
        // command.
        self.can_release.load(Ordering::Relaxed)
    }

    pub(super) fn note_release(&self) {
        // Relaxed: see `can_release`.
        self.can_release.store(true, Ordering::Relaxed);
    }

    /// Notes that the server has refused a release, so that it is checked before the next lock.
    pub(super) fn forget_release(&self) {
        // Relaxed: see `can_release`.
        self.can_release.store(false, Ordering::Relaxed);
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
