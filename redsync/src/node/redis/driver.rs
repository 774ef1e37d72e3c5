//! The trait that sends a command to a server, through one client library.

use std::future::Future;
#[cfg(feature = "_redis")]
use std::sync::Arc;

#[cfg(feature = "_redis")]
use tokio::time::Instant;

use super::Reply;
#[cfg(feature = "_redis")]
use super::conversation::Conversation;
use crate::node::NodeError;

/// Sends commands to one server through a client library.
///
/// To support another library, implement this trait, and test the driver with
/// `node::contract::driver` (feature `contract`).
pub trait Driver: Send + Sync + 'static {
    /// Returns the server's address, without credentials.
    fn address(&self) -> &str;

    /// Sends one command, and waits for its reply for as long as the connection lives.
    ///
    /// A driver must not send a command a second time, and must not limit the time itself.
    ///
    /// # Errors
    ///
    /// * [`NodeError::Unreachable`] if the command was certainly not sent;
    /// * [`NodeError::Disconnected`] if it may have been sent;
    /// * [`NodeError::Refused`] if the server answered with an error.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, the command may or may not be carried out.
    fn command(&self, command: &[&[u8]]) -> impl Future<Output = Result<Reply, NodeError>> + Send;

    /// Sets the name of the connections that are made from here on. For this crate's own drivers.
    #[doc(hidden)]
    #[cfg(feature = "_redis")]
    fn set_client_name(&self, name: Arc<str>) {
        let _ = name;
    }

    /// Adds a conversation to the list of those that are sent together, or returns it. For this
    /// crate's own drivers.
    #[doc(hidden)]
    #[cfg(feature = "_redis")]
    fn take(&self, conversation: Conversation, now: Instant) -> Result<(), Conversation> {
        let _ = now;
        Err(conversation)
    }
}
