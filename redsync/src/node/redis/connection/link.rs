//! The connection to one server: made when it is first needed, shared, and replaced.

use std::{
    mem,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::{BoxFuture, FutureExt, Shared};
use redis::{Cmd, Value};
use tokio::time::{Instant, timeout};

use super::{
    batch::Batch,
    health::Health,
    item::{Item, Undelivered},
    replies::failure,
    shared::{SharedConnection, sealed::Sealed},
};
use crate::node::{NodeError, redis::driver::unreachable};

/// How long making a connection may take.
pub(crate) const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection on which commands wait and nothing has been answered for so long may be half-open:
/// a new one is made for the commands that follow. If that fails too, the server hangs, and they
/// follow on the old one: a release must not overtake its acquisition.
const STALL: Duration = Duration::from_secs(5);

/// A connection on which nothing was sent for so long may have been closed by the other side: it is
/// asked whether it lives before a command is entrusted to it.
const IDLE: Duration = Duration::from_secs(1);

/// How many commands may wait for their replies on a connection that has given none for `STUCK`. A
/// node that hangs must not collect the commands of all locks that are taken without it.
const MAX_UNANSWERED: usize = 4096;
const STUCK: Duration = Duration::from_secs(2);

/// A connection, and what counts it as one of a pool's.
pub(crate) struct Link<C: SharedConnection, K> {
    batch: Batch<C>,
    place: Mutex<Option<K>>,
}

/// Makes connections to one server.
pub(crate) trait Connect: Clone + Send + Sync + 'static {
    type Connection: SharedConnection;
    /// A place in a pool, or whatever else is kept with a connection.
    type Place: Send + 'static;

    /// Whether a sign of life of a connection is one of the server that commands are sent to.
    const PINGS: bool = true;

    fn connect(
        &self,
    ) -> impl Future<Output = Result<(Self::Connection, Self::Place), NodeError>> + Send;

    /// The connection is used no longer for what comes; what was sent over it is still answered.
    fn leave(place: Self::Place);
}

/// The one connection that all commands share.
pub(crate) struct Links<M: Connect> {
    /// The server's, for logs.
    address: Arc<str>,
    connect: M,
    slot: Mutex<Slot<M>>,
}

enum Slot<M: Connect> {
    Empty,
    /// Made once for all commands that need it meanwhile; if it fails, it fails for all of them.
    Connecting(Connecting<M>),
    Connected(LinkOf<M>),
}

type LinkOf<M> = Arc<Link<<M as Connect>::Connection, <M as Connect>::Place>>;
type Connecting<M> = Shared<BoxFuture<'static, Result<LinkOf<M>, NodeError>>>;

impl<M: Connect> Links<M> {
    pub(crate) fn new(address: Arc<str>, connect: M) -> Self {
        Self {
            address,
            connect,
            slot: Mutex::new(Slot::Empty),
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot<M>> {
        // Each assignment to the slot is whole, whatever panics.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts an item into the list of the connection, if there is one that may be used as it is.
    pub(crate) fn push(&self, now: Instant, item: impl FnOnce() -> Item) -> bool {
        match &*self.slot() {
            Slot::Connected(link) => link.batch.push_if(may_be_used::<M>, now, item),
            Slot::Empty | Slot::Connecting(_) => false,
        }
    }

    /// Sends a command over the connection, which is made if there is none. If the command was not
    /// sent because the connection had ended, it is sent over another, once.
    pub(crate) async fn send(&self, command: Cmd) -> Result<Value, NodeError> {
        let mut again = true;
        loop {
            let link = self.usable_link().await?;
            let Undelivered { error, is_unsent } = match link.batch.send(command.clone()).await {
                Ok(value) => return Ok(value),
                Err(undelivered) => undelivered,
            };
            if link.batch.is_closed() || error.is_unrecoverable_error() {
                self.retire(&link);
            }
            if !is_unsent {
                return Err(failure(error, M::Connection::SENDS_ONCE));
            }
            if !mem::take(&mut again) {
                return Err(unreachable(error));
            }
        }
    }

    /// The connection, after a sign of life if it has been idle, unless too much waits on it.
    async fn usable_link(&self) -> Result<LinkOf<M>, NodeError> {
        let link = self.link().await?;
        let health = link.batch.health();
        let now = Instant::now();
        let link = if M::PINGS && health.rest(now) > IDLE {
            match link.batch.send(redis::cmd("PING")).await {
                Err(undelivered) if undelivered.error.is_unrecoverable_error() => {
                    self.retire(&link);
                    self.link().await?
                }
                // Even an error is a sign of life.
                _ => link,
            }
        } else {
            link
        };
        if is_overloaded(&link.batch.health(), Instant::now()) {
            return Err(NodeError::Overloaded);
        }
        Ok(link)
    }

    /// The connection; a new one if there is none, or it has ended or stalls.
    ///
    /// # Cancel safety
    ///
    /// Dropped while connecting, this leaves the connecting to the others that wait for it, or to
    /// the next command.
    async fn link(&self) -> Result<LinkOf<M>, NodeError> {
        let connecting = {
            let mut slot = self.slot();
            match &*slot {
                Slot::Connected(link) if link.batch.is_closed() => {
                    link.leave::<M>();
                    self.begin_to_connect(&mut slot, None)
                }
                Slot::Connected(link) if link.batch.health().silence(Instant::now()) < STALL => {
                    return Ok(Arc::clone(link));
                }
                Slot::Connected(stalled) => {
                    tracing::warn!(node = %self.address, "the connection stalls; trying a new one");
                    stalled.leave::<M>();
                    let stalled = Arc::clone(stalled);
                    self.begin_to_connect(&mut slot, Some(stalled))
                }
                Slot::Connecting(connecting) => connecting.clone(),
                Slot::Empty => self.begin_to_connect(&mut slot, None),
            }
        };
        // The limit is this caller's own: the runtime that the connecting began on may stand still.
        let limit = 3 * CONNECT_TIMEOUT;
        let result = timeout(limit, connecting.clone()).await;
        let result =
            result.unwrap_or_else(|_| Err(unreachable("no connection could be made in time")));
        let mut slot = self.slot();
        if matches!(&*slot, Slot::Connecting(current) if current.ptr_eq(&connecting)) {
            *slot = match &result {
                Ok(link) => Slot::Connected(Arc::clone(link)),
                Err(_) => Slot::Empty,
            };
        }
        result
    }

    /// Begins to connect. If that fails, `stalled` is the connection.
    fn begin_to_connect(&self, slot: &mut Slot<M>, stalled: Option<LinkOf<M>>) -> Connecting<M> {
        // A panic would poison what is shared: it is one failure to connect.
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

    /// Takes no more commands for this connection. Those that wait on it go on waiting.
    fn retire(&self, link: &LinkOf<M>) {
        link.leave::<M>();
        let mut slot = self.slot();
        if matches!(&*slot, Slot::Connected(current) if Arc::ptr_eq(current, link)) {
            *slot = Slot::Empty;
        }
    }
}

async fn connect<M: Connect>(connect: M) -> Result<LinkOf<M>, NodeError> {
    // Pools of the user's may have no time limits.
    let connected = timeout(2 * CONNECT_TIMEOUT, connect.connect()).await;
    let (connection, place) =
        connected.unwrap_or_else(|_| Err(unreachable("no connection could be made in time")))?;
    Ok(Arc::new(Link {
        batch: Batch::new(connection),
        place: Mutex::new(Some(place)),
    }))
}

impl<C: SharedConnection, K> Link<C, K> {
    fn leave<M: Connect<Connection = C, Place = K>>(&self) {
        let place = self.place.lock();
        if let Some(place) = place.unwrap_or_else(PoisonError::into_inner).take() {
            M::leave(place);
        }
    }
}

/// Whether there is nothing to be done about a connection before a command is sent.
fn may_be_used<M: Connect>(health: &Health, now: Instant) -> bool {
    let is_idle = M::PINGS && health.rest(now) > IDLE;
    !is_idle && health.silence(now) < STALL && !is_overloaded(health, now)
}

fn is_overloaded(health: &Health, now: Instant) -> bool {
    health.unanswered() >= MAX_UNANSWERED && health.silence(now) > STUCK
}
