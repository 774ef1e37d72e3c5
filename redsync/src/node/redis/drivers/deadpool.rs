//! The driver for deadpool-redis.

use std::{fmt, future::Future, pin::pin, sync::Arc, time::Duration};

use deadpool_redis::{Manager, PoolError, Runtime, TimeoutType};
use redis::{AsyncConnectionConfig, RedisResult, Value};
use tokio::time::{Instant, timeout};

use super::pool::{Pool, sealed::Sealed};
use crate::{
    ConfigError,
    node::{
        NodeError,
        redis::{
            Reply,
            connection::{
                client_name::ClientName,
                connect::{CONNECT_TIMEOUT, Connect},
                kind::SharedConnection,
                link::Link,
                replies::{packed, refusal, reply},
                url,
            },
            conversation::Conversation,
            driver::Driver,
        },
    },
};

/// How long to wait for a connection that was left in the pool, because the one before it answered
/// in the end. A firewall may have forgotten both since, and another one is made in about this
/// time.
const RECYCLE_TIMEOUT: Duration = Duration::from_millis(100);

/// How long to wait for a connection from a pool before another is tried: the pool may have no time
/// limit of its own, and check one that a firewall has forgotten. The next one is given twice as
/// long, because the server may be far away.
const PATIENCE: Duration = Duration::from_millis(200);

const EXHAUSTED: &str = "all connections of the pool are checked out";

/// The driver for pools of [deadpool-redis](deadpool_redis).
///
/// The pool makes connections and replaces broken ones. Commands do not each check out a
/// connection. They share a single multiplexed one, which saves a round trip per command and sends
/// the commands of many locks in one packet. This connection stays checked out of the pool while it
/// works.
///
/// The pools for Sentinel and Cluster work the same way: see
/// [the module docs](crate::node::redis#sentinel-and-cluster).
pub struct Deadpool<P: Pool = deadpool_redis::Pool> {
    address: Arc<str>,
    link: Link<FromPool<P>>,
    client_name: ClientName,
}

impl<P: Pool> Deadpool<P> {
    /// Creates a driver on a pool. Errors and logs refer to the server as `address`.
    ///
    /// The pool needs a connection to spare. While all of them are checked out by others, locks
    /// fail with an error that says so. Its time limits, or their absence, have no effect on that.
    ///
    /// The pool should have no response timeout, or a long one: redsync limits the time itself, and
    /// the release of a slow acquisition has to follow it on the same connection. (The default of
    /// redis-rs, 500 ms, is acceptable.)
    ///
    /// Its connections should have TCP keepalive (`TcpSettings` of redis-rs), so that firewalls do
    /// not forget them while they are idle. A connection that was forgotten is replaced, but the
    /// first lock waits for that.
    pub fn new(address: impl Into<Arc<str>>, pool: P) -> Self {
        let (address, client_name) = (address.into(), ClientName::default());
        Self {
            link: Link::new(
                Arc::clone(&address),
                FromPool {
                    pool,
                    client_name: client_name.clone(),
                },
            ),
            address,
            client_name,
        }
    }
}

impl Deadpool {
    /// Creates a driver with its own pool for the server at a URL. It connects when the first
    /// command is sent.
    ///
    /// A `rediss://` URL needs the feature `tls-rustls`. The system has to trust the server's
    /// certificate; for other certificates, pass a pool to [`new`](Self::new). Cryptography is left
    /// to the default provider of rustls in this process. If there is none, *ring* becomes the
    /// default.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Url`] if the URL does not parse or asks for a feature that is not compiled
    /// in.
    pub fn connect(url: &str) -> Result<Self, ConfigError> {
        let info = url::parse(url)?;
        let address = info.addr().to_string();
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(None);
        let manager =
            Manager::new_with_config(info, config).map_err(|error| url::refused(url, &error))?;
        let pool = deadpool_redis::Pool::builder(manager)
            // The shared connection, and one that replaces it before it has left the pool.
            .max_size(2)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(CONNECT_TIMEOUT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .recycle_timeout(Some(RECYCLE_TIMEOUT))
            .build()
            .map_err(|error| url::refused(url, &error))?;
        Ok(Self::new(address, pool))
    }
}

/// Takes connections out of a pool.
#[derive(Clone)]
struct FromPool<P> {
    pool: P,
    client_name: ClientName,
}

impl<P: Pool> FromPool<P> {
    async fn check_out(&self) -> Result<P::CheckedOut, NodeError> {
        self.get().await.map_err(|error| match error {
            PoolError::Backend(error) => {
                refusal(&error).unwrap_or_else(|| NodeError::unreachable(error))
            }
            PoolError::Timeout(TimeoutType::Wait) => NodeError::unreachable(EXHAUSTED),
            PoolError::Timeout(TimeoutType::Create | TimeoutType::Recycle) => {
                NodeError::unreachable("no connection could be made in time")
            }
            error => NodeError::unreachable(error),
        })
    }

    /// Takes a connection out of the pool, whatever time limits that has.
    async fn get(&self) -> Result<P::CheckedOut, PoolError> {
        let mut patience = PATIENCE;
        let mut checked_out = pin!(Sealed::get(&self.pool));
        loop {
            if let Ok(checked_out) = timeout(patience, &mut checked_out).await {
                return checked_out;
            }
            // Otherwise it keeps its place among those that wait, or goes on making a connection.
            if !self.pool.is_waited_for() {
                checked_out.set(Sealed::get(&self.pool));
                patience *= 2;
            }
        }
    }

    /// Checks out a connection that works. A server that hangs still accepts connections, because
    /// its system does. One that replaces another must not be of that kind.
    async fn check_out_answering(&self) -> Result<P::CheckedOut, NodeError> {
        let checked_out = self.check_out().await?;
        if !P::PINGS {
            return Ok(checked_out);
        }
        let mut connection = P::share(&checked_out);
        match timeout(CONNECT_TIMEOUT, is_answered(&mut connection)).await {
            Ok(Ok(())) => Ok(checked_out),
            result => {
                P::take(checked_out);
                Err(match result {
                    Ok(Err(error)) => NodeError::unreachable(error),
                    _ => NodeError::unreachable("no connection could be made in time"),
                })
            }
        }
    }
}

/// Sends a command that no proxy refuses by closing the connection, since each lock needs it. Any
/// reply is an answer.
async fn is_answered<C: SharedConnection>(connection: &mut C) -> RedisResult<()> {
    let mut command = redis::cmd("GET");
    command.arg("redsync");
    let reply = connection.send_one(&command).await;
    match reply.and_then(Value::extract_error) {
        Err(error) if refusal(&error).is_none() => Err(error),
        _ => Ok(()),
    }
}

impl<P: Pool> Connect for FromPool<P> {
    type Connection = P::Connection;
    type Place = P::CheckedOut;

    const PINGS: bool = P::PINGS;

    fn obstacle(&self) -> Option<&'static str> {
        self.pool.is_exhausted().then_some(EXHAUSTED)
    }

    async fn connect(&self) -> Result<(P::Connection, P::CheckedOut), NodeError> {
        let mut checked_out = self.check_out_answering().await?;
        if !(self.client_name.give_to(&mut P::share(&checked_out))).await {
            P::take(checked_out);
            checked_out = self.check_out().await?;
        }
        Ok((P::share(&checked_out), checked_out))
    }

    fn leave(checked_out: P::CheckedOut) {
        P::take(checked_out);
    }
}

impl<P: Pool> Driver for Deadpool<P> {
    fn address(&self) -> &str {
        &self.address
    }

    fn command(&self, command: &[&[u8]]) -> impl Future<Output = Result<Reply, NodeError>> + Send {
        let command = packed(command);
        async move { reply(self.link.send(command).await?) }
    }

    fn take(&self, conversation: Conversation, now: Instant) -> Result<(), Conversation> {
        self.link.push(now, conversation)
    }

    fn set_client_name(&self, name: Arc<str>) {
        self.client_name.set(name);
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
