//! A row of a table: some public functions, and how to make their future.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use redsync::{Guard, GuardParts};

use super::{
    kind::Kind,
    situation::{Situation, World},
};

pub(crate) struct Row {
    /// The functions whose futures are dropped.
    pub(crate) covers: &'static [&'static str],
    pub(crate) state: State,
    pub(crate) kinds: &'static [Kind],
    pub(crate) start: fn(World) -> BoxFuture<'static, Started>,
}

/// Whether the lock is held when the future is made.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Held,
    NotHeld,
}

/// A future that is going to be dropped.
pub(crate) struct Started {
    pub(crate) future: BoxFuture<'static, ()>,
    pub(crate) kept: Kept,
}

/// What the caller still has when the future has been dropped.
pub(crate) enum Kept {
    Nothing,
    Guard(Arc<Guard>),
    /// If the future was dropped, another one has to resume the lock.
    Parts(GuardParts),
}

impl Row {
    pub(crate) fn is_for(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    pub(crate) fn situations(&self) -> impl Iterator<Item = Situation> + use<> {
        let state = self.state;
        let all = [Situation::Free, Situation::Queue, Situation::Rival];
        // Nobody else holds a lock that is held here.
        (all.into_iter()).filter(move |it| state == State::NotHeld || *it != Situation::Rival)
    }
}

impl Started {
    pub(crate) fn new(future: impl Future<Output = ()> + Send + 'static, kept: Kept) -> Self {
        Self {
            future: Box::pin(future),
            kept,
        }
    }
}
