//! The driver for deadpool-redis.

use std::{
    fmt,
    future::Future,
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use deadpool_redis::{Manager, PoolError, Runtime, TimeoutType};
use futures_util::future::{BoxFuture, FutureExt, Shared};
use redis::AsyncConnectionConfig;
use tokio::time::timeout;

use super::{
    Driver, Reply,
    pool::{Pool, sealed::Sealed},
    post::{Fares, Post},
    redis_rs::{failure, packed, refusal, reply},
    unreachable, url,
};
use crate::{ConfigError, NodeError};

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

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

/// [deadpool-redis](deadpool_redis) as a driver.
///
/// The pool makes the connections, checks and replaces them; commands do not check one out each.
/// They share one of them, multiplexed, which saves a round trip per command and lets many locks
/// travel in one packet. That connection stays checked out of the pool while it works.
///
/// The pools for Sentinel and Cluster work the same way: see
/// [the module docs](super#sentinel-and-cluster).
pub struct Deadpool<P: Pool = deadpool_redis::Pool> {
    address: Arc<str>,
    pool: P,
    slot: Mutex<Slot<P>>,
}

/// The shared connection.
enum Slot<P: Pool> {
    Empty,
    /// Made once for all commands that need it meanwhile; if it fails, it fails for all of them.
    Connecting(Connecting<P>),
    Connected(Arc<Link<P>>),
}

type Connecting<P> = Shared<BoxFuture<'static, Result<Arc<Link<P>>, NodeError>>>;

/// A connection, and its place in the pool.
struct Link<P: Pool> {
    post: Post<P::Connection>,
    /// Taken out of the pool when the connection is given up.
    checked_out: Mutex<Option<P::CheckedOut>>,
}

impl<P: Pool> Deadpool<P> {
    /// A driver on a pool, `address` being what errors and logs call its server.
    ///
    /// The pool should have no response timeout, or a generous one: redsync limits the time
    /// itself, and a release has to stay behind an acquisition that is late, on its connection.
    /// (redis-rs has one of 500 ms by default, which is acceptable.)
    pub fn new(address: impl Into<Arc<str>>, pool: P) -> Self {
        Self {
            address: address.into(),
            pool,
            slot: Mutex::new(Slot::Empty),
        }
    }
}

impl Deadpool {
    /// A driver with a pool of its own for a URL. It connects when a first command is sent.
    ///
    /// A `rediss://` URL needs the feature `tls-rustls`. The server's certificate has to be one that
    /// the system trusts; for others, give [`new`](Self::new) a pool. The provider of cryptography
    /// is the process' default one of rustls, and *ring* becomes that if there is none.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Url`] if the URL does not parse or asks for what is not compiled in.
    pub fn connect(url: &str) -> Result<Self, ConfigError> {
        let info = url::parse(url)?;
        let address = info.addr().to_string();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None);
        let manager =
            Manager::new_with_config(info, config).map_err(|error| url::refused(url, error))?;
        let pool = deadpool_redis::Pool::builder(manager)
            // The shared one, and one that replaces it while it is being given up.
            .max_size(2)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT_TIMEOUT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .recycle_timeout(Some(CONNECT_TIMEOUT))
            .build()
            .map_err(|error| url::refused(url, error))?;
        Ok(Self::new(address, pool))
    }
}

impl<P: Pool> Deadpool<P> {
    fn slot(&self) -> MutexGuard<'_, Slot<P>> {
        // Each assignment to the slot is whole, whatever panics.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shared connection; a new one if there is none or it stalls.
    ///
    /// # Cancel safety
    ///
    /// Dropped while connecting, this leaves the connecting to the others that wait for it, or to
    /// the next command.
    async fn link(&self) -> Result<Arc<Link<P>>, NodeError> {
        let connecting = {
            let mut slot = self.slot();
            match &*slot {
                Slot::Connected(link) if link.post.fares().silence < STALL => {
                    return Ok(Arc::clone(link));
                }
                Slot::Connecting(connecting) => connecting.clone(),
                Slot::Connected(stalled) => {
                    tracing::warn!(node = %self.address, "the connection stalls; trying a new one");
                    stalled.leave_pool();
                    let stalled = Arc::clone(stalled);
                    slot.connect(self.pool.clone(), Some(stalled))
                }
                Slot::Empty => slot.connect(self.pool.clone(), None),
            }
        };
        let result = connecting.clone().await;
        let mut slot = self.slot();
        if matches!(&*slot, Slot::Connecting(current) if current.ptr_eq(&connecting)) {
            *slot = match &result {
                Ok(link) => Slot::Connected(Arc::clone(link)),
                Err(_) => Slot::Empty,
            };
        }
        result
    }

    /// The shared connection, if there is nothing to be done about it.
    fn ready_link(&self) -> Option<Arc<Link<P>>> {
        match &*self.slot() {
            Slot::Connected(link) if link.is_ready() => Some(Arc::clone(link)),
            _ => None,
        }
    }

    /// The shared connection, unless too much waits on it.
    async fn usable_link(&self) -> Result<Arc<Link<P>>, NodeError> {
        let link = self.live_link().await?;
        if is_overloaded(&link.post.fares()) {
            return Err(NodeError::Overloaded);
        }
        Ok(link)
    }

    /// The shared connection, after a sign of life if it has been idle.
    async fn live_link(&self) -> Result<Arc<Link<P>>, NodeError> {
        let link = self.link().await?;
        if !P::PINGS || link.post.fares().rest <= IDLE {
            return Ok(link);
        }
        match link.post.send(redis::cmd("PING")).await {
            Err(error) if error.is_unrecoverable_error() => {
                self.retire(&link);
                self.link().await
            }
            // Even an error is a sign of life.
            _ => Ok(link),
        }
    }

    /// No more commands on this connection. Those that wait on it go on waiting.
    fn retire(&self, link: &Arc<Link<P>>) {
        link.leave_pool();
        let mut slot = self.slot();
        if matches!(&*slot, Slot::Connected(current) if Arc::ptr_eq(current, link)) {
            *slot = Slot::Empty;
        }
    }
}

impl<P: Pool> Slot<P> {
    /// Starts to connect. If that fails, `stalled` is what there is.
    fn connect(&mut self, pool: P, stalled: Option<Arc<Link<P>>>) -> Connecting<P> {
        // A panic would poison what is shared: it is one failure to connect.
        let connecting = AssertUnwindSafe(connect(pool))
            .catch_unwind()
            .map(|result| result.unwrap_or_else(|_| Err(unreachable("connecting panicked"))))
            .map(|result| match (result, stalled) {
                (Err(_), Some(stalled)) => Ok(stalled),
                (result, _) => result,
            })
            .boxed()
            .shared();
        *self = Self::Connecting(connecting.clone());
        connecting
    }
}

async fn connect<P: Pool>(pool: P) -> Result<Arc<Link<P>>, NodeError> {
    // Pools of the user's may have no time limits.
    let connection = timeout(2 * CONNECT_TIMEOUT, Sealed::get(&pool))
        .await
        .unwrap_or(Err(PoolError::Timeout(TimeoutType::Create)))
        .map_err(|error| match error {
            PoolError::Backend(error) => refusal(&error).unwrap_or_else(|| unreachable(error)),
            PoolError::Timeout(_) => unreachable("no connection could be made in time"),
            error => unreachable(error),
        })?;
    Ok(Arc::new(Link {
        post: Post::new(P::share(&connection)),
        checked_out: Mutex::new(Some(connection)),
    }))
}

impl<P: Pool> Link<P> {
    /// Takes the connection out of the pool, which makes another in its place. It goes on working.
    fn leave_pool(&self) {
        let mut checked_out = (self.checked_out.lock()).unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = checked_out.take() {
            P::take(connection);
        }
    }

    /// Whether there is nothing to be done about it. Asked for each command, so all in one.
    fn is_ready(&self) -> bool {
        let fares = self.post.fares();
        let is_idle = P::PINGS && fares.rest > IDLE;
        fares.silence < STALL && !is_idle && !is_overloaded(&fares)
    }
}

fn is_overloaded(fares: &Fares) -> bool {
    fares.unanswered >= MAX_UNANSWERED && fares.silence > STUCK
}

impl<P: Pool> Driver for Deadpool<P> {
    fn address(&self) -> &str {
        &self.address
    }

    fn command(&self, command: &[&[u8]]) -> impl Future<Output = Result<Reply, NodeError>> + Send {
        let command = packed(command);
        async move {
            let link = match self.ready_link() {
                Some(link) => link,
                // Boxed, as it is large and rare.
                None => self.usable_link().boxed().await?,
            };
            match link.post.send(command).await {
                Ok(value) => reply(value),
                Err(error) => {
                    let failure = failure::<P::Connection>(error);
                    if is_final(&failure) {
                        self.retire(&link);
                    }
                    Err(failure)
                }
            }
        }
    }
}

/// Whether the connection is of no more use: it is broken, or it leads to what is a replica by now.
fn is_final(failure: &NodeError) -> bool {
    match failure {
        NodeError::Disconnected(_) | NodeError::Unreachable(_) => true,
        NodeError::Refused { code, .. } => &**code == "READONLY",
        _ => false,
    }
}

impl<P: Pool> fmt::Debug for Deadpool<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadpool")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_that_does_not_parse_is_refused_without_its_password() {
        for url in [
            "redis://user:secret@[::1",
            "redis://:secret@host:port",
            "http://user:sec@ret@host/",
            "user:secret@host",
            "unix:///run/redis.sock?pass=secret&db=x",
        ] {
            let error = Deadpool::connect(url).unwrap_err();
            let shown = format!("{error} {error:?}");
            assert!(shown.contains('…'), "{shown}");
            assert!(
                !shown.contains("secret") && !shown.contains("sec@"),
                "{shown}"
            );
        }
    }

    #[cfg(not(feature = "tls-rustls"))]
    #[test]
    fn tls_that_is_not_compiled_in_is_refused() {
        let error = Deadpool::connect("rediss://:secret@127.0.0.1").unwrap_err();
        let shown = error.to_string();
        assert!(
            shown.contains("TLS") && shown.contains("feature"),
            "{shown}"
        );
        assert!(!shown.contains("secret"), "{shown}");
    }

    #[test]
    fn the_address_is_the_server_without_credentials_and_database() {
        let driver = Deadpool::connect("redis://user:secret@127.0.0.1:7000/3").unwrap();
        assert_eq!(driver.address(), "127.0.0.1:7000");
        assert!(!format!("{driver:?}").contains("secret"));
    }
}
