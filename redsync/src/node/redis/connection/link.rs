//! The connection to one server: made when it is first needed, shared, checked, and replaced when
//! it fails.

use std::{mem, sync::Arc, time::Duration};

use redis::{Cmd, Value};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout},
};

use super::{
    connect::{Connect, Connection},
    connecting::{Connecting, Log},
    health::Health,
    item::Undelivered,
    replies::failure,
};
#[cfg(feature = "deadpool-redis")]
use crate::node::redis::conversation::Conversation;
use crate::{
    node::NodeError,
    sync::{Mutex, MutexGuard},
};

/// A connection that has been idle for this long may have been closed by the server, or forgotten
/// by a firewall. So it is checked before the next command.
const IDLE: Duration = Duration::from_secs(1);

/// The same for a connection whose replies are read on another runtime than the current one, which
/// may stand still.
const IDLE_ELSEWHERE: Duration = Duration::from_millis(100);

/// A connection of a kind that cannot be checked, and replaces its own connections, is replaced as
/// a whole after a silence of this length. By then it has had the time to do so itself several
/// times: see `CONNECT_TIMEOUT`.
const STALL: Duration = Duration::from_secs(5);

/// After this long without a connection, a caller asks what it waits for. It is a part of the usual
/// node time limit, so that its error can say so.
const PATIENCE: Duration = Duration::from_millis(250);

/// How many commands may be unanswered on a connection that has been silent for longer than
/// `STUCK`. Without this limit, a node that hangs would collect the commands of all locks, which
/// are acquired on the other nodes. With it, they take a few megabytes.
const MAX_UNANSWERED: usize = 4096;
/// A server that copies its memory for a snapshot, or runs a slow script, may be silent for a
/// second, and then answers all commands.
const STUCK: Duration = Duration::from_secs(2);

/// The link to one server: the connection that all commands share.
pub(crate) struct Link<M: Connect> {
    log: Arc<Log>,
    connect: M,
    slot: Mutex<Slot<M>>,
}

enum Slot<M: Connect> {
    Empty,
    /// A connection is made or checked, for all commands that need it. If that fails, all of them
    /// fail.
    Connecting(Connecting<M>),
    Connected(Arc<Connection<M>>),
}

impl<M: Connect> Link<M> {
    pub(crate) fn new(address: Arc<str>, connect: M) -> Self {
        Self {
            log: Log::new(address),
            connect,
            slot: Mutex::new(Slot::Empty),
        }
    }

    fn slot(&self) -> MutexGuard<'_, Slot<M>> {
        self.slot.lock()
    }

    /// Adds a conversation to the list of the connection, or returns it if no connection is ready
    /// for use.
    ///
    /// A connection that is being checked may have commands in its list that have not been sent: a
    /// thread that drops very many guards reads no replies meanwhile. A command that joins them
    /// waits for the result of the check at little cost. If another connection takes over, all of
    /// them go there.
    #[cfg(feature = "deadpool-redis")]
    pub(crate) fn push(&self, now: Instant, item: Conversation) -> Result<(), Conversation> {
        // There are no more releases than acquisitions that were not refused for this reason.
        let is_release = item.is_release();
        let has_room = |health: &Health| is_release || !is_overloaded(health, now);
        let mut slot = self.slot();
        match &*slot {
            Slot::Connected(connection) => {
                let is_trusted = |health: &Health| is_trusted(connection, health, now);
                let may_be_used = |health: &Health, _| is_trusted(health) && has_room(health);
                let refused = connection.sender.push_if(may_be_used, now, item);
                if refused.is_err()
                    && connection.is_here()
                    && !connection.sender.is_closed()
                    && !is_trusted(&connection.sender.health())
                    && let Ok(runtime) = Handle::try_current()
                {
                    // The first of them waits for the result, and the next ones find that it is
                    // checked.
                    *slot = Slot::Connecting(self.begin(&runtime, Some(connection)));
                }
                refused
            }
            Slot::Connecting(connecting) => match (connecting.checked(), Handle::try_current()) {
                (Some(connection), Ok(runtime)) if connecting.is_driven(&runtime, now) => {
                    // The commands in the list share the result of the check.
                    let may_be_used = |health: &Health, waiting| waiting > 0 && has_room(health);
                    connection.sender.push_if(may_be_used, now, item)
                }
                _ => Err(item),
            },
            Slot::Empty => Err(item),
        }
    }

    /// Sends a command over the connection, which is made if there is none. If the command was not
    /// sent because the connection had ended, it is sent over another one, at most once.
    pub(crate) async fn send(&self, command: Cmd) -> Result<Value, NodeError> {
        let mut again = true;
        loop {
            let connection = self.connection().await?;
            if is_overloaded(&connection.sender.health(), Instant::now()) {
                return Err(NodeError::Overloaded);
            }
            let Undelivered { error, is_unsent } =
                match connection.sender.send(command.clone()).await {
                    Ok(value) => return Ok(value),
                    Err(undelivered) => undelivered,
                };
            if connection.sender.is_closed() || error.is_unrecoverable_error() {
                self.retire(&connection);
            }
            if !is_unsent {
                return Err(failure::<M::Connection>(error));
            }
            if !mem::take(&mut again) {
                return Err(NodeError::unreachable(error));
            }
        }
    }

    /// The connection, ready for use. A new one is made if there is none, or if it has ended. If it
    /// was idle or is silent, it is checked, and replaced if it does not answer.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, connecting goes on.
    async fn connection(&self) -> Result<Arc<Connection<M>>, NodeError> {
        let Ok(runtime) = Handle::try_current() else {
            return Err(NodeError::unreachable("there is no tokio runtime"));
        };
        let mut again = true;
        loop {
            let connecting = match self.ready(&runtime) {
                Ok(connection) => return Ok(connection),
                Err(connecting) => connecting,
            };
            let result = match timeout(PATIENCE, connecting.result()).await {
                Ok(result) => result,
                Err(_) => match self.obstacle(&connecting) {
                    // It goes on, for later callers.
                    Some(obstacle) => return Err(obstacle),
                    None => connecting.result().await,
                },
            };
            self.settle(&connecting, &result);
            // It may have failed because its runtime has ended, and not because of the server.
            if result.is_err() && !connecting.is_on(&runtime) && mem::take(&mut again) {
                continue;
            }
            return result;
        }
    }

    /// Why a connection is not made for so long, if that is known.
    fn obstacle(&self, connecting: &Connecting<M>) -> Option<NodeError> {
        let is_made = connecting.checked().is_none();
        let obstacle = is_made.then(|| self.connect.obstacle()).flatten();
        obstacle.map(NodeError::unreachable)
    }

    /// The connection, if it may be used at once; otherwise what to wait for, which is begun if it
    /// has not been.
    fn ready(&self, runtime: &Handle) -> Result<Arc<Connection<M>>, Connecting<M>> {
        let begin = |checked: Option<&_>| self.begin(runtime, checked);
        let now = Instant::now();
        let mut ended = None;
        let mut slot = self.slot();
        let connecting = match &*slot {
            Slot::Connecting(connecting) if connecting.is_driven(runtime, now) => {
                connecting.clone()
            }
            Slot::Connecting(connecting) => begin(connecting.checked()),
            Slot::Connected(connection) if connection.sender.is_closed() => {
                ended = Some(Arc::clone(connection));
                begin(None)
            }
            Slot::Connected(connection)
                if is_trusted(connection, &connection.sender.health(), now) =>
            {
                return Ok(Arc::clone(connection));
            }
            Slot::Connected(connection) => begin(Some(connection)),
            Slot::Empty => begin(None),
        };
        *slot = Slot::Connecting(connecting.clone());
        drop(slot);
        // Not under the lock, because this may run the code of a pool.
        if let Some(ended) = ended {
            ended.leave();
        }
        Err(connecting)
    }

    /// Puts a result in the slot, unless the slot has changed since.
    fn settle(&self, connecting: &Connecting<M>, result: &Result<Arc<Connection<M>>, NodeError>) {
        let mut slot = self.slot();
        if matches!(&*slot, Slot::Connecting(current) if current.is(connecting)) {
            *slot = match result {
                Ok(connection) => Slot::Connected(Arc::clone(connection)),
                Err(_) => Slot::Empty,
            };
        }
    }

    /// Begins to make a connection, or to check one.
    fn begin(&self, runtime: &Handle, checked: Option<&Arc<Connection<M>>>) -> Connecting<M> {
        Connecting::begin(runtime, &self.log, &self.connect, checked.cloned())
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

/// Whether a connection may be used without a check.
fn is_trusted<M: Connect>(connection: &Connection<M>, health: &Health, now: Instant) -> bool {
    let rest = health.rest(now);
    let is_idle = M::PINGS && (rest > IDLE || rest > IDLE_ELSEWHERE && !connection.is_here());
    let is_silent = health.is_silent(now) && (M::PINGS || health.silence(now) > STALL);
    !is_idle && !is_silent
}

fn is_overloaded(health: &Health, now: Instant) -> bool {
    health.unanswered() >= MAX_UNANSWERED && health.silence(now) > STUCK
}
