//! The driver for deadpool-redis.

use std::{
    fmt,
    future::Future,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use deadpool_redis::{
    Connection, Manager, Pool, PoolError, Runtime,
    redis::{
        AsyncConnectionConfig, Client, Cmd, ErrorKind, RedisError, ServerErrorKind, Value,
        aio::{ConnectionLike, MultiplexedConnection},
    },
};
use futures_util::future::{BoxFuture, FutureExt, Shared};
use tokio::time::Instant;

use super::{Driver, Reply, unreachable};
use crate::{ConfigError, NodeError};

/// How long making a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// A connection on which commands wait and nothing has been answered for so long is left to them,
/// and a new one is made for those that follow: it may be half-open.
const STALL: Duration = Duration::from_secs(5);

/// How many commands may wait for their replies on one connection. A node that hangs must not
/// collect the commands of all locks that are taken without it.
const MAX_UNANSWERED: usize = 4096;

/// [deadpool-redis](deadpool_redis) as a driver.
///
/// The pool makes the connections, checks and replaces them; commands do not check one out each.
/// They share one of them, multiplexed, which saves a round trip per command and lets many locks
/// travel in one packet. That connection stays checked out of the pool while it works.
pub struct Deadpool {
    address: Arc<str>,
    pool: Pool,
    slot: Mutex<Slot>,
}

/// The shared connection.
enum Slot {
    Empty,
    /// Made once for all commands that need it meanwhile; if it fails, it fails for all of them.
    Connecting(Shared<BoxFuture<'static, Result<Arc<Link>, NodeError>>>),
    Connected(Arc<Link>),
}

/// A connection and how it fares.
struct Link {
    connection: MultiplexedConnection,
    /// Keeps the connection's place in the pool; taken out of it when the connection is given up.
    checked_out: Mutex<Option<Connection>>,
    unanswered: AtomicUsize,
    made: Instant,
    /// Milliseconds from `made` to the last time at which there was an answer or nothing to
    /// answer.
    last_progress: AtomicU64,
}

impl Deadpool {
    /// A driver on a pool, `address` being what errors and logs call its server.
    ///
    /// The pool should have no response timeout, or a generous one: redsync limits the time
    /// itself, and a release has to stay behind an acquisition that is late, on its connection.
    /// (redis-rs has one of 500 ms by default, which is acceptable.)
    pub fn new(address: impl Into<Arc<str>>, pool: Pool) -> Self {
        Self {
            address: address.into(),
            pool,
            slot: Mutex::new(Slot::Empty),
        }
    }

    /// A driver with a pool of its own for a URL. It connects when a first command is sent.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Url`] if the URL does not parse or asks for what is not compiled in.
    pub fn connect(url: &str) -> Result<Self, ConfigError> {
        let invalid = |source: Box<dyn std::error::Error + Send + Sync>| ConfigError::Url {
            url: without_credentials(url).into(),
            source: Arc::from(source),
        };
        let client = Client::open(url).map_err(|error| invalid(error.into()))?;
        let info = client.get_connection_info();
        let address = info.addr().to_string();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None);
        let manager = Manager::new_with_config(info.clone(), config)
            .map_err(|error| invalid(error.into()))?;
        let pool = Pool::builder(manager)
            // The shared one, and one that replaces it while it is being given up.
            .max_size(2)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT_TIMEOUT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .recycle_timeout(Some(CONNECT_TIMEOUT))
            .build()
            .map_err(|error| invalid(error.into()))?;
        Ok(Self::new(address, pool))
    }

    fn slot(&self) -> MutexGuard<'_, Slot> {
        // Each assignment to the slot is whole, whatever panics.
        self.slot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shared connection; a new one if there is none or it stalls.
    ///
    /// # Cancel safety
    ///
    /// Dropped while connecting, this leaves the connecting to the others that wait for it, or to
    /// the next command.
    async fn link(&self) -> Result<Arc<Link>, NodeError> {
        let connecting = {
            let mut slot = self.slot();
            match &*slot {
                Slot::Connected(link) if !link.stalls() => return Ok(Arc::clone(link)),
                Slot::Connecting(connecting) => connecting.clone(),
                Slot::Connected(_) | Slot::Empty => {
                    if let Slot::Connected(stalled) = &*slot {
                        tracing::warn!(node = %self.address, "the connection stalls; making a new one");
                        stalled.give_up();
                    }
                    let connecting = connect(self.pool.clone()).boxed().shared();
                    *slot = Slot::Connecting(connecting.clone());
                    connecting
                }
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

    /// No more commands on this connection. Those that wait on it go on waiting.
    fn retire(&self, link: &Arc<Link>) {
        link.give_up();
        let mut slot = self.slot();
        if matches!(&*slot, Slot::Connected(current) if Arc::ptr_eq(current, link)) {
            *slot = Slot::Empty;
        }
    }
}

async fn connect(pool: Pool) -> Result<Arc<Link>, NodeError> {
    let connection = pool.get().await.map_err(|error| match error {
        PoolError::Backend(error) => match refusal(&error) {
            Some(refused) => refused,
            None => unreachable(error),
        },
        PoolError::Timeout(_) => unreachable("no connection could be made in time"),
        error => unreachable(error),
    })?;
    Ok(Arc::new(Link {
        connection: MultiplexedConnection::clone(&connection),
        checked_out: Mutex::new(Some(connection)),
        unanswered: AtomicUsize::new(0),
        made: Instant::now(),
        last_progress: AtomicU64::new(0),
    }))
}

impl Link {
    fn age(&self) -> u64 {
        self.made.elapsed().as_millis() as u64
    }

    fn stalls(&self) -> bool {
        self.unanswered.load(Ordering::Relaxed) > 0
            && self.age() - self.last_progress.load(Ordering::Relaxed).min(self.age())
                > STALL.as_millis() as u64
    }

    /// Takes the connection out of the pool, which makes another in its place.
    fn give_up(&self) {
        let mut checked_out = self
            .checked_out
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = checked_out.take() {
            drop(Connection::take(connection));
        }
    }

    fn begin(&self) -> Result<Unanswered<'_>, NodeError> {
        let before = self.unanswered.fetch_add(1, Ordering::Relaxed);
        let unanswered = Unanswered(self);
        if before == 0 {
            self.last_progress.store(self.age(), Ordering::Relaxed);
        }
        if before < MAX_UNANSWERED {
            Ok(unanswered)
        } else {
            Err(NodeError::Overloaded)
        }
    }
}

/// A command that waits for its reply, counted until it is answered or dropped.
struct Unanswered<'a>(&'a Link);

impl Drop for Unanswered<'_> {
    fn drop(&mut self) {
        self.0.unanswered.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Driver for Deadpool {
    fn address(&self) -> &str {
        &self.address
    }

    fn command(&self, command: &[&[u8]]) -> impl Future<Output = Result<Reply, NodeError>> + Send {
        let mut cmd = Cmd::new();
        for arg in command {
            cmd.arg(*arg);
        }
        async move {
            let link = self.link().await?;
            let _unanswered = link.begin()?;
            let mut connection = link.connection.clone();
            let result = connection.req_packed_command(&cmd).await;
            if !matches!(&result, Err(error) if error.is_timeout()) {
                link.last_progress.store(link.age(), Ordering::Relaxed);
            }
            match result.and_then(Value::extract_error) {
                Ok(value) => reply(value),
                Err(error) => Err(match refusal(&error) {
                    Some(refused) => refused,
                    // Its connection lives, and what is sent later comes behind it.
                    None if error.is_timeout() => NodeError::TimedOut,
                    None => {
                        self.retire(&link);
                        NodeError::Disconnected(Arc::new(error))
                    }
                }),
            }
        }
    }
}

impl fmt::Debug for Deadpool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deadpool")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The server's own error, if it is one.
fn refusal(error: &RedisError) -> Option<NodeError> {
    match error.kind() {
        ErrorKind::Server(ServerErrorKind::NoScript) => Some(NodeError::refused("NOSCRIPT", "")),
        ErrorKind::Server(_) | ErrorKind::Extension => Some(NodeError::refused(
            error.code().unwrap_or("ERR"),
            error.detail().unwrap_or_default(),
        )),
        ErrorKind::AuthenticationFailed => Some(NodeError::refused(
            "WRONGPASS",
            error.detail().unwrap_or_default(),
        )),
        _ => None,
    }
}

fn reply(value: Value) -> Result<Reply, NodeError> {
    Ok(match value {
        Value::Nil => Reply::Nil,
        Value::Okay => Reply::Status("OK".to_owned()),
        Value::SimpleString(status) => Reply::Status(status),
        Value::Int(number) => Reply::Integer(number),
        Value::BulkString(bytes) => Reply::Bytes(bytes),
        Value::VerbatimString { text, .. } => Reply::Bytes(text.into_bytes()),
        Value::Array(values) => {
            Reply::Array(values.into_iter().map(reply).collect::<Result<_, _>>()?)
        }
        _ => {
            return Err(NodeError::Unexpected(
                "of a type no lock command has".into(),
            ));
        }
    })
}

/// The URL with its user and password cut out. What follows the last `@` cannot be either.
fn without_credentials(url: &str) -> String {
    match (url.split_once("://"), url.rsplit_once('@')) {
        (Some((scheme, _)), Some((_, rest))) => format!("{scheme}://…@{rest}"),
        (None, Some((_, rest))) => format!("…@{rest}"),
        _ => url.to_owned(),
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

    #[test]
    fn the_address_is_the_server_without_credentials_and_database() {
        let driver = Deadpool::connect("redis://user:secret@127.0.0.1:7000/3").unwrap();
        assert_eq!(driver.address(), "127.0.0.1:7000");
        assert!(!format!("{driver:?}").contains("secret"));
    }
}
