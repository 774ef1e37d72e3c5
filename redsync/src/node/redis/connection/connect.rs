//! Making a connection to one server: by a client library, or out of a pool.

use std::{sync::Arc, time::Duration};

use tokio::{runtime::Handle, time::timeout};

use super::{kind::SharedConnection, sender::Sender};
use crate::{node::NodeError, runtimes::stands_still, sync::Mutex};

/// How long it may take to make a connection. Where locks are acquired within 400 ms, a handshake
/// takes milliseconds; and by then TCP has just repeated a first packet that was lost (RFC 6298,
/// section 2).
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Makes connections to one server.
pub(crate) trait Connect: Clone + Send + Sync + 'static {
    type Connection: SharedConnection;
    /// A place in a pool, or anything else that is kept with a connection.
    type Place: Send + 'static;

    /// Whether a `PING` on a connection reaches the server that executes the commands.
    const PINGS: bool = true;

    /// Why no connection may be made for a long time, if that is known.
    fn obstacle(&self) -> Option<&'static str> {
        None
    }

    fn connect(
        &self,
    ) -> impl Future<Output = Result<(Self::Connection, Self::Place), NodeError>> + Send;

    /// Gives back the place of a connection that takes no more commands. Commands that were sent
    /// over it are still answered.
    fn leave(place: Self::Place);
}

/// A connection that has been made, and its place in a pool.
pub(super) struct Connection<M: Connect> {
    pub(super) sender: Sender<M::Connection>,
    place: Mutex<Option<M::Place>>,
    /// The runtime that reads its replies.
    runtime: Handle,
}

impl<M: Connect> Connection<M> {
    pub(super) async fn new(connect: &M) -> Result<Arc<Self>, NodeError> {
        // A pool of the user may have no time limit.
        let connected = timeout(2 * CONNECT_TIMEOUT, connect.connect()).await;
        let (connection, place) = connected.unwrap_or_else(|_| {
            Err(NodeError::unreachable(
                "no connection could be made in time",
            ))
        })?;
        Ok(Arc::new(Self {
            sender: Sender::new(connection),
            place: Mutex::new(Some(place)),
            runtime: Handle::current(),
        }))
    }

    /// Whether the current runtime reads its replies.
    pub(super) fn is_here(&self) -> bool {
        Handle::try_current().is_ok_and(|runtime| runtime.id() == self.runtime.id())
    }

    /// Sends no more commands, because another connection takes over. If the runtime that reads the
    /// replies stands still, nobody waits any longer for the replies to commands that were sent.
    pub(super) fn abandon_for(self: &Arc<Self>, other: &Self) {
        self.sender.abandon_for(&other.sender);
        if self.is_here() {
            return;
        }
        let (connection, stands_still) = (Arc::clone(self), stands_still(&self.runtime));
        tokio::spawn(async move {
            if stands_still.await {
                connection.sender.abandon_sent();
            }
        });
    }

    /// Gives back the place.
    pub(super) fn leave(&self) {
        let place = self.place.lock().take();
        if let Some(place) = place {
            M::leave(place);
        }
    }
}
