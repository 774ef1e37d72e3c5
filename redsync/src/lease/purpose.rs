//! The purpose of a lease: what it asks its nodes for, and for which request.

use std::sync::Arc;

use super::pursuit::Pursuit;
use crate::{Mode, OwnerValue, node::Entry, options::Options, printable::Label, request::Request};

/// The request, entry and options of a lease.
pub(crate) struct Purpose {
    /// The name in errors and logs.
    pub(super) label: Label,
    pub(crate) entry: Entry,
    /// The names whose queues have the waiters for such a lock.
    pub(super) queues: Arc<[Arc<str>]>,
    pub(crate) options: Arc<Options>,
    /// The number of the attempt, starting from 1.
    pub(super) attempt: u32,
}

impl Purpose {
    /// The purpose of an attempt with this number, which may be `repeated`, on one of the permits.
    pub(crate) fn new(
        request: &Request,
        permit: usize,
        attempt: u32,
        value: OwnerValue,
        repeated: bool,
    ) -> Self {
        let options = &request.options;
        let names = request.permit(permit);
        Self {
            label: match permit {
                0 => request.label.clone(),
                _ => Label::from(Arc::clone(&names[0])),
            },
            queues: Arc::clone(&request.names),
            entry: Entry {
                names: Arc::clone(names),
                value,
                expiry: options.timing.expiry(),
                mode: options.kind.mode,
                fenced: options.kind.fencing,
                repeated,
            },
            options: Arc::clone(options),
            attempt,
        }
    }

    /// The purpose of a lease whose keys are handed over for a request.
    pub(super) fn succeeded_by(&self, request: &Request) -> Self {
        Self {
            label: self.label.clone(),
            queues: Arc::clone(&self.queues),
            entry: self.entry.clone(),
            options: Arc::clone(&request.options),
            attempt: request.attempts(),
        }
    }

    /// Whether these keys include those of a permit of a request. Fencing is not considered.
    pub(super) fn covers(&self, request: &Request) -> bool {
        let mode = request.options.kind.mode;
        let is_strong_enough = self.entry.mode == Mode::Exclusive || mode == Mode::Shared;
        let has = |permit: &Arc<[Arc<str>]>| {
            let mut names = permit.iter();
            names.all(|name| self.entry.names.contains(name))
        };
        is_strong_enough && request.permits().any(has)
    }

    /// How long the background waits for answers.
    pub(crate) fn pursuit(&self) -> Pursuit {
        Pursuit::new(&self.options.timing)
    }
}
