//! The token that is cancelled when a lock is lost.

use std::sync::Arc;

use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::AbortOnDropHandle,
};

use super::validity::Lost;
use crate::lease::Lease;

/// A token that is cancelled when the lock is lost, when this is dropped, or when the runtime ends
/// that watches over the lock.
pub(super) struct LostToken {
    token: DropGuard,
    _watch: AbortOnDropHandle<()>,
}

impl LostToken {
    /// Starts a task that waits for the loss.
    ///
    /// # Panics
    ///
    /// Panics outside of a tokio runtime.
    pub(super) fn new(lease: &Arc<Lease>) -> Self {
        let token = CancellationToken::new();
        let lost = Lost::new(Arc::clone(lease));
        // Dropped with the task if the runtime ends, since nobody would notice the loss after that.
        let cancels = token.clone().drop_guard();
        let watch = tokio::spawn(async move {
            lost.await;
            drop(cancels);
        });
        Self {
            token: token.drop_guard(),
            _watch: AbortOnDropHandle::new(watch),
        }
    }

    /// Returns a child of the token: if its owner cancels it, the other children are not cancelled.
    pub(super) fn child(&self) -> CancellationToken {
        self.token.token().child_token()
    }
}
