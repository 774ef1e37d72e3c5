//! Which commands a server knows.
//!
//! What it does not know is found out by trying, once: a server that does not know a command says
//! so, and has done nothing.

use std::sync::atomic::{AtomicU8, Ordering};

use crate::node::NodeError;

/// What is known about the commands of one server.
#[derive(Default)]
pub(super) struct Dialect {
    delete_if_equal: AtomicU8,
}

/// The ways to delete a key if its value is a given one. A command takes the server half the time
/// that a script does.
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
        // Each command stands for itself: an outdated form costs one more question.
        match self.delete_if_equal.load(Ordering::Relaxed) {
            0 => DeleteIfEqual::Delifeq,
            1 => DeleteIfEqual::Delex,
            _ => DeleteIfEqual::Script,
        }
    }

    /// Notes that the server does not know a form.
    pub(super) fn has_not(&self, form: DeleteIfEqual) {
        let next = match form {
            DeleteIfEqual::Delifeq => 1,
            DeleteIfEqual::Delex | DeleteIfEqual::Script => 2,
        };
        self.delete_if_equal.fetch_max(next, Ordering::Relaxed);
    }
}

/// Whether the server does not know the command, or its user may not run it.
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
