//! The way of one command to one server, over one client library.

use std::future::Future;
#[cfg(any(feature = "deadpool-redis", feature = "fred", feature = "redis-rs"))]
use std::{error::Error, sync::Arc};

use tokio::time::Instant;

use super::{Reply, exchange::Conversation};
use crate::node::NodeError;

/// Sends commands to one server.
///
/// A driver for another client library is one small type. Test it with
/// `node::contract::driver` (feature `contract`).
pub trait Driver: Send + Sync + 'static {
    /// Where the server is, without credentials.
    fn address(&self) -> &str;

    /// Sends one command, and waits for its reply for as long as the connection lives.
    ///
    /// # Errors
    ///
    /// [`NodeError::Unreachable`] if the command was certainly not sent,
    /// [`NodeError::Disconnected`] if it may have been, [`NodeError::Refused`] if the server
    /// answered with an error.
    ///
    /// # Cancel safety
    ///
    /// A command whose future is dropped may or may not be carried out. A driver never sends a
    /// command a second time.
    fn command(&self, command: &[&[u8]]) -> impl Future<Output = Result<Reply, NodeError>> + Send;

    /// Takes a conversation into a list, to be sent with those of other locks, or gives it back. For
    /// this crate's own drivers.
    #[doc(hidden)]
    fn take(&self, conversation: Conversation, now: Instant) -> Result<(), Conversation> {
        let _ = now;
        Err(conversation)
    }
}

/// The error about a server that could not be reached.
#[cfg(any(feature = "deadpool-redis", feature = "fred", feature = "redis-rs"))]
pub(super) fn unreachable(error: impl Into<Box<dyn Error + Send + Sync>>) -> NodeError {
    NodeError::Unreachable(Arc::from(error.into()))
}
