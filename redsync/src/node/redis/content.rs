//! The content of a question: an operation of a node, with all that its commands contain.

use std::time::Duration;

use crate::{
    FencingToken, Mode,
    node::{Entry, Operation},
};

/// An operation on an entry, with its arguments.
#[derive(Clone, Copy)]
pub(super) struct Content<'a> {
    pub(super) operation: Operation,
    pub(super) entry: &'a Entry,
    /// The token that counters are raised to, if there is one.
    pub(super) token: Option<FencingToken>,
    /// For how long the names are kept after their release.
    pub(super) kept: Duration,
}

impl<'a> Content<'a> {
    /// The content without a token, after which nothing is kept.
    pub(super) const fn new(operation: Operation, entry: &'a Entry) -> Self {
        Self {
            operation,
            entry,
            token: None,
            kept: Duration::ZERO,
        }
    }

    /// Whether the entry is one exclusive name, whose key is a plain string as in go-redsync.
    pub(super) fn is_plain(&self) -> bool {
        self.entry.names.len() == 1 && self.entry.mode == Mode::Exclusive
    }
}
