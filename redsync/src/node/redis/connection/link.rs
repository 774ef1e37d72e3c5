//! The connection to one server: made when it is first needed, shared, and replaced when it fails.

use std::{
    mem,
    panic::AssertUnwindSafe,
    sync::{Arc, MutexGuard},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt, Shared};
use redis::{Cmd, Value};
use tokio::time::{Instant, timeout};

#[cfg(feature = "deadpool-redis")]
use super::item::Item;
use super::{
    health::Health,
    item::Undelivered,
    kind::{SharedConnection, sealed::Sealed},
    replies::failure,
    sender::Sender,
};
use crate::{
    node::{NodeError, redis::driver::unreachable},
    sync::Mutex,
};

/// How long it may take to make a connection.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection on which commands have been unanswered for this long may be half-open, so a new one
/// is made for the commands that follow. If that fails too, the server hangs, and these commands
/// use the old connection: a release must not overtake its acquisition.
const STALL: Duration = Duration::from_secs(5);

/// A connection that has been idle for this long may have been closed by the server, so a `PING` is
/// sent before the next command.
const IDLE: Duration = Duration::from_secs(1);

/// How many commands may be unanswered on a connection that has been silent for longer than
/// `STUCK`. Without this limit, a node that hangs would collect the commands of all locks, which
/// are acquired on the other nodes.
const MAX_UNANSWERED: usize = 4096;
const STUCK: Duration = Duration::from_secs(2);

/// Makes connections to one server.
pub(crate) trait Connect: Clone + Send + Sync + 'static {
    type Connection: SharedConnection;
    /// A place in a pool, or anything else that is kept with a connection.
    type Place: Send + 'static;

    /// Whether a `PING` on a connection reaches the server that executes the commands.
    const PINGS: bool = true;

    fn connect(
        &self,
    ) -> impl Future<Output = Result<(Self::Connection, Self::Place), NodeError>> + Send;

    /// Gives back the place of a connection that takes no more commands. Commands that were sent
    /// over it are still answered.
    fn leave(place: Self::Place);
}

/// A connection that has been made, and its place in a pool.
struct Connection<M: Connect> {
    sender: Sender<M::Connection>,
    place: Mutex<Option<M::Place>>,
}

/// The way to one server: the connection that all commands share.
pub(crate) struct Link<M: Connect> {
    /// The address of the server, for logs.
    address: Arc<str>,
    connect: M,
    slot: Mutex<Slot<M>>,
}

enum Slot<M: Connect> {
    Empty,
    /// One attempt to connect, for all commands that need the connection. If it fails, all of them
    /// fail.
    Connecting(Connecting<M>),
    Connected(Arc<Connection<M>>),
}

type Connecting<M> = Shared<BoxFuture<'static, Result<Arc<Connection<M>>, NodeError>>>;

impl<M: Connect> Link<M> {
    pub(crate) fn new(address: Arc<str>, connect: M) -> Self {
        Self {
            address,
            connect,
            slot: Mutex::new(Slot::Empty),
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot<M>> {
        self.slot.lock()
    }

    /// Adds an item to the list of the connection, or returns it if no connection is ready for use.
    #[cfg(feature = "deadpool-redis")]
    pub(crate) fn push<T: Into<Item>>(&self, now: Instant, item: T) -> Result<(), T> {
        match &*self.slot() {
            Slot::Connected(connection) => {
                let may_be_used = |health: &Health| may_be_used::<M>(health, now);
                connection.sender.push_if(may_be_used, now, item)
            }
            Slot::Empty | Slot::Connecting(_) => Err(item),
        }
    }

    /// Sends a command over the connection, which is made if there is none. If the command was not
    /// sent because the connection had ended, it is sent over another one, at most once.
    pub(crate) async fn send(&self, command: Cmd) -> Result<Value, NodeError> {
        let mut again = true;
        loop {
            let connection = self.usable_connection().await?;
            let Undelivered { error, is_unsent } =
                match connection.sender.send(command.clone()).await {
                    Ok(value) => return Ok(value),
                    Err(undelivered) => undelivered,
                };
            if connection.sender.is_closed() || error.is_unrecoverable_error() {
                self.retire(&connection);
            }
            if !is_unsent {
                return Err(failure(error, M::Connection::SENDS_ONCE));
            }
            if !mem::take(&mut again) {
                return Err(unreachable(error));
            }
        }
    }

    /// The connection, ready for use: if it has been idle, it has answered a `PING`. An error if
    /// too many commands are unanswered.
    async fn usable_connection(&self) -> Result<Arc<Connection<M>>, NodeError> {
        let connection = self.connection().await?;
        let health = connection.sender.health();
        let now = Instant::now();
        let connection = if M::PINGS && health.rest(now) > IDLE {
            match connection.sender.send(redis::cmd("PING")).await {
                Err(undelivered) if undelivered.error.is_unrecoverable_error() => {
                    self.retire(&connection);
                    self.connection().await?
                }
                // Any other error is a sign of life too.
                _ => connection,
            }
        } else {
            connection
        };
        if is_overloaded(&connection.sender.health(), Instant::now()) {
            return Err(NodeError::Overloaded);
        }
        Ok(connection)
    }

    /// The connection. A new one is made if there is none, or if it has ended or stalls.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped while connecting, the other commands that wait for the connection
    /// go on connecting, or the next command does.
    async fn connection(&self) -> Result<Arc<Connection<M>>, NodeError> {
        let connecting = {
            let mut slot = self.slot();
            match &*slot {
                Slot::Connected(connection) if connection.sender.is_closed() => {
                    connection.leave();
                    self.begin_to_connect(&mut slot, None)
                }
                Slot::Connected(connection)
                    if connection.sender.health().silence(Instant::now()) < STALL =>
                {
                    return Ok(Arc::clone(connection));
                }
                Slot::Connected(stalled) => {
                    tracing::warn!(node = %self.address, "the connection has stalled; making a new one");
                    stalled.leave();
                    let stalled = Arc::clone(stalled);
                    self.begin_to_connect(&mut slot, Some(stalled))
                }
                Slot::Connecting(connecting) => connecting.clone(),
                Slot::Empty => self.begin_to_connect(&mut slot, None),
            }
        };
        // Each caller has its own limit, because the runtime on which the connecting began may
        // stand still.
        let limit = 3 * CONNECT_TIMEOUT;
        let result = timeout(limit, connecting.clone()).await;
        let result =
            result.unwrap_or_else(|_| Err(unreachable("no connection could be made in time")));
        let mut slot = self.slot();
        if matches!(&*slot, Slot::Connecting(current) if current.ptr_eq(&connecting)) {
            *slot = match &result {
                Ok(connection) => Slot::Connected(Arc::clone(connection)),
                Err(_) => Slot::Empty,
            };
        }
        result
    }

    /// Begins to connect. If that fails, the `stalled` connection stays in use.
    fn begin_to_connect(
        &self,
        slot: &mut Slot<M>,
        stalled: Option<Arc<Connection<M>>>,
    ) -> Connecting<M> {
        // A panic would poison the shared future, so it becomes a failure to connect.
        let connecting = AssertUnwindSafe(connect(self.connect.clone()))
            .catch_unwind()
            .map(|result| result.unwrap_or_else(|_| Err(unreachable("connecting panicked"))))
            .map(|result| match (result, stalled) {
                (Err(_), Some(stalled)) => Ok(stalled),
                (result, _) => result,
            })
            .boxed()
            .shared();
        *slot = Slot::Connecting(connecting.clone());
        connecting
    }

    /// Sends no more commands over this connection. Commands that are under way stay under way.
    fn retire(&self, connection: &Arc<Connection<M>>) {
        connection.leave();
        let mut slot = self.slot();
        if matches!(&*slot, Slot::Connected(current) if Arc::ptr_eq(current, connection)) {
            *slot = Slot::Empty;
        }
    }
}

async fn connect<M: Connect>(connect: M) -> Result<Arc<Connection<M>>, NodeError> {
    // A pool of the user may have no time limit.
    let connected = timeout(2 * CONNECT_TIMEOUT, connect.connect()).await;
    let (connection, place) =
        connected.unwrap_or_else(|_| Err(unreachable("no connection could be made in time")))?;
    Ok(Arc::new(Connection {
        sender: Sender::new(connection),
        place: Mutex::new(Some(place)),
    }))
}

impl<M: Connect> Connection<M> {
    /// Gives back the place.
    fn leave(&self) {
        let place = self.place.lock().take();
        if let Some(place) = place {
            M::leave(place);
        }
    }
}

/// Whether a connection is ready for a command without a `PING` or a replacement.
#[cfg(feature = "deadpool-redis")]
fn may_be_used<M: Connect>(health: &Health, now: Instant) -> bool {
    let is_idle = M::PINGS && health.rest(now) > IDLE;
    !is_idle && health.silence(now) < STALL && !is_overloaded(health, now)
}

fn is_overloaded(health: &Health, now: Instant) -> bool {
    health.unanswered() >= MAX_UNANSWERED && health.silence(now) > STUCK
}
