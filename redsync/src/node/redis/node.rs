//! A Redis or Valkey server as a node.

use std::{fmt, sync::Arc, time::Duration};

use futures_util::future::FutureExt;
#[cfg(feature = "_redis")]
use tokio::time::Instant;
use tokio::time::timeout;

#[cfg(feature = "deadpool-redis")]
use super::Deadpool;
use super::{
    Driver, Reply,
    command::Command,
    content::Content,
    dialect::{Dialect, may_do_otherwise},
    exchange::Exchange,
    script::{By, INSPECT},
};
#[cfg(feature = "_redis")]
use super::{
    connection::{client_name::ClientName, url},
    conversation::Conversation,
    tracking::Tracking,
};
#[cfg(feature = "_redis")]
use crate::{ConfigError, node::Question};
use crate::{
    FencingToken,
    node::{
        AcquireVote, Answer, Entry, ExtendVote, Holders, Node, NodeAnswer, NodeError, Operation,
        RaiseVote, ReleaseVote, Reporters, WakeUp,
    },
};

/// How long to wait for the answer to the second question, which asks who holds a name.
const SECOND_QUESTION: Duration = Duration::from_millis(100);

/// A Redis or Valkey server as a node. See the [module docs](super) for what the server has to
/// provide.
pub struct RedisNode<D = DefaultDriver> {
    driver: D,
    dialect: Arc<Dialect>,
    #[cfg(feature = "_redis")]
    tracking: Option<Tracking>,
    #[cfg(feature = "_redis")]
    client_name: ClientName,
}

#[cfg(feature = "deadpool-redis")]
type DefaultDriver = Deadpool;
/// There is no default driver without the feature; the type has to be given.
#[cfg(not(feature = "deadpool-redis"))]
type DefaultDriver = std::convert::Infallible;

#[cfg(feature = "deadpool-redis")]
impl RedisNode {
    /// Creates a node for the server at a URL, such as `redis://user:password@10.0.0.1:6379/0` or
    /// `unix:///run/redis.sock`. It connects when it is first asked for a vote, and has
    /// [wake-ups](super#wake-ups).
    ///
    /// ```
    /// use redsync::{Redsync, node::redis::RedisNode};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let redsync = Redsync::new([RedisNode::connect("redis://127.0.0.1:6379")?])?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::Url`] if the URL does not parse or asks for a feature that is not compiled
    /// in.
    pub fn connect(url: &str) -> Result<Self, ConfigError> {
        Self::new(Deadpool::connect(url)?).with_wake_ups(url)
    }
}

impl<D: Driver> RedisNode<D> {
    /// Creates a node with a driver, for instance on a pool that the service already has:
    ///
    /// ```
    /// # #[cfg(feature = "deadpool-redis")] {
    /// use redsync::{Redsync, node::redis::{Deadpool, RedisNode}};
    ///
    /// let config = deadpool_redis::Config::from_url("redis://127.0.0.1:6379");
    /// let pool = config.create_pool(Some(deadpool_redis::Runtime::Tokio1))?;
    /// let node = RedisNode::new(Deadpool::new("127.0.0.1:6379", pool));
    /// let redsync = Redsync::new([node])?;
    /// # }
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    pub fn new(driver: D) -> Self {
        Self {
            driver,
            dialect: Arc::default(),
            #[cfg(feature = "_redis")]
            tracking: None,
            #[cfg(feature = "_redis")]
            client_name: ClientName::default(),
        }
    }

    /// Turns on [wake-ups](super#wake-ups). The URL has to lead to the same server as the driver.
    /// Nodes made by [`connect`](RedisNode#method.connect) have wake-ups already.
    ///
    /// ```
    /// # #[cfg(feature = "deadpool-redis")] {
    /// use redsync::{Redsync, node::redis::{Deadpool, RedisNode}};
    ///
    /// let url = "redis://127.0.0.1:6379";
    /// let config = deadpool_redis::Config::from_url(url);
    /// let pool = config.create_pool(Some(deadpool_redis::Runtime::Tokio1))?;
    /// let node = RedisNode::new(Deadpool::new("127.0.0.1:6379", pool)).with_wake_ups(url)?;
    /// let redsync = Redsync::new([node])?;
    /// # }
    /// # Ok::<_, Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConfigError::Url`] if the URL does not parse or asks for a feature that is not compiled
    /// in.
    #[cfg(feature = "_redis")]
    #[cfg_attr(
        docsrs,
        doc(cfg(any(feature = "deadpool-redis", feature = "redis-rs")))
    )]
    pub fn with_wake_ups(self, url: &str) -> Result<Self, ConfigError> {
        let tracking = Tracking::new(url::parse(url)?, &self.client_name)
            .map_err(|error| url::refused(url, &error))?;
        Ok(Self {
            tracking: Some(tracking),
            ..self
        })
    }

    /// Names the connections that are made from here on, so that an administrator finds them in the
    /// server's `CLIENT LIST`: those for commands and for wake-ups. A name has no spaces. If the
    /// server refuses it, the connections go on without a name.
    ///
    /// ```
    /// # #[cfg(feature = "deadpool-redis")] {
    /// use redsync::{Redsync, node::redis::RedisNode};
    ///
    /// let urls = ["redis://10.0.0.1", "redis://10.0.0.2", "redis://10.0.0.3"];
    /// let nodes = urls.map(|url| RedisNode::connect(url).map(|node| node.with_client_name("orders")));
    /// let redsync = Redsync::new(nodes.into_iter().collect::<Result<Vec<_>, _>>()?)?;
    /// # }
    /// # Ok::<_, redsync::ConfigError>(())
    /// ```
    ///
    /// A connection from a pool of the service is named when it is checked out. The connections of
    /// [`Multiplexed`](super::Multiplexed) and [`Fred`](super::Fred) are made by the service, which
    /// names them itself; of such a node, only the connection for wake-ups is named here.
    #[cfg(feature = "_redis")]
    #[cfg_attr(
        docsrs,
        doc(cfg(any(feature = "deadpool-redis", feature = "redis-rs")))
    )]
    #[must_use]
    pub fn with_client_name(self, name: impl Into<Arc<str>>) -> Self {
        let name = name.into();
        self.client_name.set(Arc::clone(&name));
        self.driver.set_client_name(name);
        self
    }
}

impl<D: Driver> RedisNode<D> {
    /// Asks the server about itself.
    ///
    /// A proxy may answer this by closing the connection. So may a server that restarts, so it is
    /// asked twice. If it closes both connections, and a third answers a command that every lock
    /// needs, then it does not answer this question: [`None`].
    async fn info(&self) -> Result<Option<Reply>, NodeError> {
        let info: [&[u8]; 2] = [b"INFO", b"server"];
        for _ in 0..2 {
            match self.driver.command(&info).await {
                Err(NodeError::Disconnected(_)) => {}
                reply => return reply.map(Some),
            }
        }
        match self.driver.command(&[b"GET", b"redsync"]).await {
            // Any error of the server is an answer.
            Ok(_) | Err(NodeError::Refused { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Asks the server, sending one command at a time.
    async fn converse(&self, content: Content<'_>) -> NodeAnswer {
        let mut exchange = Exchange::new(&content, &self.dialect);
        loop {
            let mut command = Command::default();
            exchange.write(&content, &mut command);
            let args = command.args();
            let reply = self.driver.command(&args);
            let reply = match exchange.interim() {
                None => reply.await,
                Some(answer) => match timeout(SECOND_QUESTION, reply).boxed().await {
                    Ok(reply) => reply,
                    Err(_) => return Ok(answer),
                },
            };
            if let Some(answer) = exchange.reply(&content, reply) {
                return answer;
            }
        }
    }
}

/// Extracts the vote of an operation from its answer.
macro_rules! answered {
    ($answer:expr, $operation:ident) => {
        match $answer.await? {
            Answer::$operation(vote) => Ok(vote),
            _ => unreachable!("an exchange answers its own operation"),
        }
    };
}

impl<D: Driver> Node for RedisNode<D> {
    fn address(&self) -> &str {
        self.driver.address()
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        let content = Content::new(Operation::Acquire, entry);
        answered!(self.converse(content), Acquire)
    }

    async fn raise(&self, entry: &Entry, token: FencingToken) -> Result<RaiseVote, NodeError> {
        let content = Content {
            token: Some(token),
            ..Content::new(Operation::Raise, entry)
        };
        answered!(self.converse(content), Raise)
    }

    async fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        set_if_absent: bool,
    ) -> Result<ExtendVote, NodeError> {
        let operation = if set_if_absent {
            Operation::Heal
        } else {
            Operation::Extend
        };
        let content = Content {
            token,
            ..Content::new(operation, entry)
        };
        answered!(self.converse(content), Extend)
    }

    async fn release(&self, entry: &Entry) -> Result<ReleaseVote, NodeError> {
        self.release_after(entry, Duration::ZERO).await
    }

    async fn release_after(&self, entry: &Entry, time: Duration) -> Result<ReleaseVote, NodeError> {
        let content = Content {
            kept: time,
            ..Content::new(Operation::Release, entry)
        };
        answered!(self.converse(content), Release)
    }

    async fn inspect(&self, name: &str) -> Result<Option<Holders>, NodeError> {
        let ask = async |by| {
            let mut command = Command::default();
            INSPECT.write_for_name(by, name, &mut command);
            self.driver.command(&command.args()).await
        };
        if !self.dialect.run_by_hash.may_be_sent() {
            return ask(By::Code).await?.holders();
        }
        let reply = match ask(By::Hash).await {
            // It changes nothing, so it can be asked twice.
            Err(NodeError::Disconnected(_)) => {
                self.dialect.run_by_hash.was_cut_off();
                ask(By::Code).await
            }
            Err(error) => match INSPECT.after(By::Hash, &error) {
                Some(next) => ask(next).await,
                None => Err(error),
            },
            reply => reply,
        };
        reply?.holders()
    }

    async fn watch(&self, names: &[Arc<str>]) -> Result<WakeUp, NodeError> {
        self.watch_counted(names, &Reporters::default()).await
    }

    async fn watch_counted(
        &self,
        names: &[Arc<str>],
        reporters: &Reporters,
    ) -> Result<WakeUp, NodeError> {
        #[cfg(feature = "_redis")]
        if let Some(tracking) = &self.tracking {
            return tracking.watch(names, reporters).await;
        }
        let _ = (names, reporters);
        Err(NodeError::NotSent)
    }

    async fn watch_acquired(&self, names: &[Arc<str>]) -> Result<(), NodeError> {
        #[cfg(feature = "_redis")]
        if let Some(tracking) = &self.tracking {
            return tracking.watch_acquired(names).await;
        }
        let _ = names;
        Err(NodeError::NotSent)
    }

    async fn identity(&self) -> Result<Option<String>, NodeError> {
        match self.info().await {
            Ok(Some(Reply::Bytes(info))) => Ok(run_id(&String::from_utf8_lossy(&info))),
            Ok(Some(Reply::Status(info))) => Ok(run_id(&info)),
            // The user has no permission for INFO, or a proxy does not know it. Locking works all
            // the same.
            Err(error) if may_do_otherwise(&error) => Ok(None),
            // A cluster returns one answer for each of its servers.
            Ok(_) | Err(NodeError::Unexpected(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    #[cfg(feature = "_redis")]
    fn take(&self, question: Question, now: Instant) -> Result<(), Question> {
        let conversation = Conversation::new(question, &self.dialect);
        (self.driver.take(conversation, now)).map_err(Conversation::into_question)
    }
}

impl<D: Driver> fmt::Debug for RedisNode<D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RedisNode")
            .field(&self.driver.address())
            .finish()
    }
}

fn run_id(info: &str) -> Option<String> {
    let id = info.lines().find_map(|line| line.strip_prefix("run_id:"))?;
    let id = id.trim();
    // A proxy may hide it. Two servers whose id is hidden are not the same.
    (!id.is_empty()).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_hides_its_id_has_none() {
        let info = "# Server\r\nredis_version:7.0.15\r\nrun_id:5ac2\r\n";
        assert_eq!(run_id(info).as_deref(), Some("5ac2"));
        assert_eq!(run_id("run_id:\r\nrun_id:5ac2"), None);
        assert_eq!(run_id("run_id: \r\n"), None);
        assert_eq!(run_id(""), None);
    }
}
