//! Connecting, for all commands that wait for a connection that works: one is made, or the present
//! one is checked and perhaps replaced.

use std::{convert::Infallible, future::pending, pin::pin, sync::Arc, time::Duration};

use futures_util::future::{BoxFuture, Either, FutureExt, Shared, select};
use tokio::{
    runtime::{self, Handle},
    time::{Instant, sleep},
};
use tokio_util::task::AbortOnDropHandle;

use super::connect::{Connect, Connection};
use crate::{node::NodeError, sync::Mutex};

/// How often the task shows that its runtime is alive.
const BEAT: Duration = Duration::from_millis(50);

/// After this long without such a sign, the task is begun again on another runtime. A runtime that
/// is busy may be late for some of its five beats.
const STANDSTILL: Duration = Duration::from_millis(250);

/// How long a connection that has been silent for too long already may take to answer a `PING`. Its
/// replies may have arrived while the thread that reads them was blocked. It is a small part of the
/// node time limit, within which a lock that waits for the result still has to be acquired.
const GRACE: Duration = Duration::from_millis(50);

/// How long a silent connection is used without another check, after no other connection could be
/// made: the server hangs, and its commands must stay in order. So a server that hangs is sent one
/// check and one connection a second.
const PAUSE: Duration = Duration::from_secs(1);

/// What the log says about the connections to one server.
pub(super) struct Log {
    address: Arc<str>,
    /// When a replacement was last reported.
    reported_at: Mutex<Option<Instant>>,
}

/// Replacements are reported no more often than this. A firewall may forget each connection of a
/// service that has few requests.
const REMINDER: Duration = Duration::from_secs(600);

impl Log {
    pub(super) fn new(address: Arc<str>) -> Arc<Self> {
        Arc::new(Self {
            address,
            reported_at: Mutex::new(None),
        })
    }

    fn replaced(&self) {
        let now = Instant::now();
        let mut reported_at = self.reported_at.lock();
        let node = &*self.address;
        let message = "the connection had gone silent; it was replaced";
        if reported_at.is_some_and(|at| now.saturating_duration_since(at) < REMINDER) {
            tracing::debug!(node, "{message}");
        } else {
            *reported_at = Some(now);
            tracing::warn!(node, "{message}");
        }
    }
}

/// The making or checking of a connection. Clones share it. It is a task, so it goes on when its
/// callers stop waiting.
pub(super) struct Connecting<M: Connect> {
    result: Shared<BoxFuture<'static, Result<Arc<Connection<M>>, NodeError>>>,
    /// The connection that is checked, if there is one.
    checked: Option<Arc<Connection<M>>>,
    runtime: runtime::Id,
    /// When its runtime last showed that it is alive.
    pulse: Arc<Mutex<Instant>>,
}

impl<M: Connect> Connecting<M> {
    /// Begins to make a connection, or to check one.
    pub(super) fn begin(
        runtime: &Handle,
        log: &Arc<Log>,
        connect: &M,
        checked: Option<Arc<Connection<M>>>,
    ) -> Self {
        let (log, connect) = (Arc::clone(log), connect.clone());
        let pulse = Arc::new(Mutex::new(Instant::now()));
        let beats = beat(Arc::clone(&pulse));
        let connection = checked.clone();
        let task = async move {
            let connecting = async {
                match connection {
                    None => Connection::new(&connect).await,
                    Some(connection) => check(&log, &connect, &connection).await,
                }
            };
            match select(pin!(connecting), pin!(beats)).await {
                Either::Left((result, _)) => result,
                Either::Right((never, _)) => match never {},
            }
        };
        let result = AbortOnDropHandle::new(runtime.spawn(task)).map(|result| {
            // It panicked, or its runtime has ended.
            result.unwrap_or_else(|error| Err(NodeError::unreachable(error)))
        });
        Self {
            result: result.boxed().shared(),
            checked,
            runtime: runtime.id(),
            pulse,
        }
    }

    pub(super) async fn result(&self) -> Result<Arc<Connection<M>>, NodeError> {
        self.result.clone().await
    }

    pub(super) const fn checked(&self) -> Option<&Arc<Connection<M>>> {
        self.checked.as_ref()
    }

    /// Whether its runtime, which has its timers and I/O, drives it. Another runtime than the
    /// current one may be kept and not driven, or its thread may be blocked.
    pub(super) fn is_driven(&self, current: &Handle, now: Instant) -> bool {
        let is_over = self.result.peek().is_some();
        let rest = now.saturating_duration_since(*self.pulse.lock());
        self.is_on(current) || is_over || rest <= STANDSTILL
    }

    pub(super) fn is_on(&self, runtime: &Handle) -> bool {
        runtime.id() == self.runtime
    }

    pub(super) fn is(&self, other: &Self) -> bool {
        self.result.ptr_eq(&other.result)
    }
}

impl<M: Connect> Clone for Connecting<M> {
    fn clone(&self) -> Self {
        Self {
            result: self.result.clone(),
            checked: self.checked.clone(),
            runtime: self.runtime,
            pulse: Arc::clone(&self.pulse),
        }
    }
}

async fn beat(pulse: Arc<Mutex<Instant>>) -> Infallible {
    loop {
        *pulse.lock() = Instant::now();
        sleep(BEAT).await;
    }
}

/// Checks a connection that was idle or is silent. Returns it if it answers. Otherwise another
/// connection is made, and the first of them that works is returned.
///
/// So a server that is slow keeps its connection, and one that hangs is not sent more than one new
/// connection at a time.
async fn check<M: Connect>(
    log: &Log,
    connect: &M,
    connection: &Arc<Connection<M>>,
) -> Result<Arc<Connection<M>>, NodeError> {
    let health = connection.sender.health();
    let limit = if health.is_silent(Instant::now()) {
        GRACE
    } else {
        health.limit()
    };
    let answers = pin!(answers(connection));
    let answers = match select(answers, pin!(sleep(limit))).await {
        Either::Left((true, _)) => return Ok(Arc::clone(connection)),
        Either::Left((false, _)) => {
            connection.leave();
            return Connection::new(connect).await;
        }
        Either::Right(((), answers)) => answers,
    };
    // It leaves its place first, because the pool may have no other.
    connection.leave();
    match select(answers, pin!(Connection::new(connect))).await {
        Either::Left((true, _)) => Ok(Arc::clone(connection)),
        Either::Left((false, connecting)) => connecting.await,
        Either::Right((Ok(new), _)) => {
            log.replaced();
            connection.abandon_for(&new);
            Ok(new)
        }
        Either::Right((Err(error), _)) => {
            tracing::debug!(node = &*log.address, %error, "the connection is silent, and no other could be made");
            connection.sender.trust_until(Instant::now() + PAUSE);
            Ok(Arc::clone(connection))
        }
    }
}

/// Whether the connection answers a `PING`, however late; false if it has ended.
async fn answers<M: Connect>(connection: &Connection<M>) -> bool {
    if !M::PINGS {
        return pending().await;
    }
    match connection.sender.ping().await {
        Err(undelivered) => !undelivered.error.is_unrecoverable_error(),
        // Any other error is a sign of life too.
        Ok(_) => true,
    }
}
