//! Being told when a key changes: a server's client tracking.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::FutureExt;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionInfo, ProtocolVersion, PushInfo, PushKind,
    RedisError, RedisResult, Value, aio::MultiplexedConnection,
};
use tokio::time::{Instant, timeout};

use super::{
    redis_rs::{failure, refusal},
    unreachable,
};
use crate::{
    NodeError,
    node::{Seen, bells::Bells},
};

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection on which nothing is answered for so long is given up.
const STALL: Duration = Duration::from_secs(1);

/// For how long a server is left alone that could not be connected to.
const PAUSE: Duration = Duration::from_secs(1);

/// Watches keys on a connection of its own, over which nothing is ever written.
///
/// The server remembers which keys were read over it, and pushes a message when one of them is
/// changed, deleted or expires (redis.io, "Client-side caching reference"), whoever did it. That costs
/// those who release nothing. It asks for RESP3, which the connection of the commands need not speak,
/// and which a proxy may not; if it cannot be had, there are no wake-ups from this server.
pub(super) struct WakeUps {
    client: Client,
    bells: Bells,
    /// Held while connecting, so that it is done once.
    slot: tokio::sync::Mutex<Slot>,
}

#[derive(Default)]
struct Slot {
    link: Option<Arc<Link>>,
    failed_at: Option<Instant>,
}

struct Link {
    connection: MultiplexedConnection,
    /// Since when something was asked and nothing answered.
    asked: Mutex<Option<Instant>>,
}

impl WakeUps {
    pub(super) fn new(info: ConnectionInfo) -> RedisResult<Self> {
        let settings = info.redis_settings().clone();
        let settings = settings.set_protocol(ProtocolVersion::RESP3);
        let info = info.set_redis_settings(settings);
        Ok(Self {
            client: Client::open(info)?,
            bells: Bells::default(),
            slot: tokio::sync::Mutex::default(),
        })
    }

    /// See [`Node::watch`](crate::node::Node::watch).
    pub(super) async fn watch(&self, names: &[Arc<str>]) -> Result<Seen, NodeError> {
        // Before the server is asked: what changes after it has answered is heard.
        let bell = self.bells.hang(names);
        let mut exists = redis::cmd("EXISTS");
        for name in names {
            exists.arg(&**name);
        }
        let mut again = false;
        loop {
            let link = self.link().await?;
            match link.ask(&exists).await {
                Ok(Value::Int(0)) => return Ok(Seen::Free),
                // Perhaps of a change before that: a name that was free when it was last looked at was
                // then taken by another.
                Ok(_) if bell.rung().now_or_never().is_some() => {}
                Ok(_) => {
                    bell.rung().await;
                    return Ok(Seen::Changed);
                }
                Err(error) if error.is_unrecoverable_error() => {
                    self.retire(&link).await;
                    // It was closed while nobody used it, perhaps: the first to find out is not to
                    // go without.
                    if again {
                        return Err(failure::<MultiplexedConnection>(error));
                    }
                    again = true;
                }
                Err(error) => return Err(failure::<MultiplexedConnection>(error)),
            }
        }
    }

    async fn link(&self) -> Result<Arc<Link>, NodeError> {
        let mut slot = self.slot.lock().await;
        if let Some(link) = slot.link.take_if(|link| link.stalls()) {
            tracing::debug!("a connection for wake-ups stalls; making a new one");
            drop(link);
        }
        if let Some(link) = &slot.link {
            return Ok(Arc::clone(link));
        }
        if slot
            .failed_at
            .is_some_and(|failed| failed.elapsed() < PAUSE)
        {
            return Err(NodeError::NotSent);
        }
        let connected = timeout(CONNECT_TIMEOUT, self.connect()).await;
        let connected =
            connected.unwrap_or_else(|_| Err(unreachable("no connection could be made in time")));
        let link = match connected {
            Ok(link) => link,
            Err(error) => {
                let address = self.client.get_connection_info().addr().to_string();
                tracing::debug!(node = address, %error, "no wake-ups from a node; polling");
                slot.failed_at = Some(Instant::now());
                return Err(error);
            }
        };
        let link = Arc::new(link);
        *slot = Slot {
            link: Some(Arc::clone(&link)),
            failed_at: None,
        };
        Ok(link)
    }

    async fn connect(&self) -> Result<Link, NodeError> {
        let bells = self.bells.clone();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None)
            .set_push_sender(move |push| {
                heard(&bells, &push);
                Ok::<_, std::convert::Infallible>(())
            });
        let error = |error: RedisError| refusal(&error).unwrap_or_else(|| unreachable(error));
        let client = &self.client;
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        let link = Link {
            connection: connection.await.map_err(error)?,
            asked: Mutex::default(),
        };
        let mut tracking = redis::cmd("CLIENT");
        tracking.arg("TRACKING").arg("ON");
        link.ask(&tracking).await.map_err(error)?;
        Ok(link)
    }

    async fn retire(&self, link: &Arc<Link>) {
        let mut slot = self.slot.lock().await;
        slot.link.take_if(|current| Arc::ptr_eq(current, link));
    }
}

/// Rings for what the server has pushed.
fn heard(bells: &Bells, push: &PushInfo) {
    match (&push.kind, &push.data[..]) {
        (PushKind::Invalidate, [Value::Array(keys)]) => {
            for key in keys {
                if let Value::BulkString(key) = key {
                    // What is not UTF-8 is no name.
                    bells.ring(&String::from_utf8_lossy(key));
                }
            }
        }
        // All keys have gone, or whatever happens to them from now on is not told.
        (PushKind::Invalidate | PushKind::Disconnection, _) => bells.ring_all(),
        _ => {}
    }
}

impl Link {
    fn asked(&self) -> MutexGuard<'_, Option<Instant>> {
        // An assignment is whole.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stalls(&self) -> bool {
        self.asked().is_some_and(|asked| asked.elapsed() > STALL)
    }

    async fn ask(&self, command: &Cmd) -> RedisResult<Value> {
        self.asked().get_or_insert_with(Instant::now);
        let reply = super::redis_rs::send(&self.connection, command).await;
        *self.asked() = None;
        reply
    }
}

impl fmt::Debug for WakeUps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WakeUps").finish_non_exhaustive()
    }
}
