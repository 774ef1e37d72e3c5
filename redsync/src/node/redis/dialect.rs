//! The optional commands that a server knows.
//!
//! They are found out by use: a server that does not know a command answers with an error and does
//! nothing. Each command fails in this way at most once per server.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::node::NodeError;

/// What is known about the commands of one server so far.
#[derive(Default)]
pub(super) struct Dialect {
    delete_if_equal: AtomicU8,
}

/// The ways to delete a key if it has a given value. A command takes the server half the time of a
/// script.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DeleteIfEqual {
    /// `DELIFEQ key value`: Valkey, from 9.0.
    Delifeq,
    /// `DELEX key IFEQ value`: Redis, from 8.4.
    Delex,
    Script,
}

impl Dialect {
    pub(super) fn delete_if_equal(&self) -> DeleteIfEqual {
        // Relaxed: the value protects nothing else, and an outdated form costs one more command.
        match self.delete_if_equal.load(Ordering::Relaxed) {
            0 => DeleteIfEqual::Delifeq,
            1 => DeleteIfEqual::Delex,
            _ => DeleteIfEqual::Script,
        }
    }

    /// Notes that the server does not know this form.
    pub(super) fn lacks(&self, form: DeleteIfEqual) {
        let next = match form {
            DeleteIfEqual::Delifeq => 1,
            DeleteIfEqual::Delex | DeleteIfEqual::Script => 2,
        };
        self.delete_if_equal.fetch_max(next, Ordering::Relaxed);
    }
}

/// Whether the error says that the server does not know the command, or that the user may not run
/// it.
pub(super) fn is_missing(error: &NodeError) -> bool {
    let NodeError::Refused { code, message, .. } = error else {
        return false;
    };
    match &**code {
        "ERR" => message.contains("command"),
        "NOPERM" => true,
        _ => false,
    }
}
