//! The driver for fred.

use std::{fmt, future::Future, sync::Arc, time::Duration};

use fred::{
    clients::Client,
    error::ErrorKind,
    interfaces::ClientLike,
    types::{ClusterHash, CustomCommand, Resp3Frame, Value, config::Options},
};

use crate::node::{
    NodeError,
    redis::{Reply, driver::Driver},
};

/// The driver for clients of [fred](fred).
///
/// The client has to be initialized. It needs a [`ReconnectPolicy`], or the node is lost when its
/// connection breaks. To detect connections that have died silently, set an
/// [`UnresponsiveConfig`](fred::types::config::UnresponsiveConfig).
///
/// The driver overrides the settings by which the client would send a command again, and its
/// default time limit for commands. It writes each command at most once, and waits for the reply
/// for as long as the connection lives; redsync limits the time itself. While the client is not
/// connected, commands fail at once.
///
/// If you have a [`Pool`](fred::clients::Pool), pass one of its clients, `pool.next().clone()`: on
/// different connections, a release could overtake its acquisition.
///
/// ```no_run
/// # #[cfg(feature = "fred")]
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use fred::prelude::*;
/// use redsync::{Redsync, node::{redis::{Fred, RedisNode}}};
///
/// let client = Builder::from_config(Config::from_url("redis://127.0.0.1:6379")?)
///     .set_policy(ReconnectPolicy::new_exponential(0, 100, 5_000, 2))
///     .build()?;
/// client.init().await?;
/// let node = RedisNode::new(Fred::new("127.0.0.1:6379", client));
/// let redsync = Redsync::new([node])?;
/// # Ok(())
/// # }
/// ```
///
/// [`ReconnectPolicy`]: fred::types::config::ReconnectPolicy
pub struct Fred {
    address: Arc<str>,
    client: Client,
}

impl Fred {
    /// Creates a driver on a client. Errors and logs refer to the server as `address`.
    pub fn new(address: impl Into<Arc<str>>, client: Client) -> Self {
        Self {
            address: address.into(),
            client,
        }
    }
}

impl Driver for Fred {
    fn address(&self) -> &str {
        &self.address
    }

    fn command(&self, command: &[&[u8]]) -> impl Future<Output = Result<Reply, NodeError>> + Send {
        let name = String::from_utf8_lossy(command.first().copied().unwrap_or_default());
        let custom = CustomCommand::new(name.into_owned(), slot_of(command), false);
        let args = command.iter().skip(1).copied().map(Value::from);
        let args: Vec<Value> = args.collect();
        let options = Options {
            // Never send a command again: neither after a failed write, nor after a lost
            // connection.
            max_attempts: Some(1),
            fail_fast: true,
            // No time limit.
            timeout: Some(Duration::ZERO),
            ..Options::default()
        };
        async move {
            if !self.client.is_connected() {
                return Err(NodeError::unreachable("fred is not connected"));
            }
            let client = self.client.with_options(&options);
            match client.custom_raw(custom, args).await {
                Ok(frame) => reply(frame),
                Err(error) if *error.kind() == ErrorKind::Timeout => Err(NodeError::TimedOut),
                Err(error) => Err(NodeError::Disconnected(Arc::new(error))),
            }
        }
    }
}

impl fmt::Debug for Fred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fred")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

/// The position of a command's first key, which decides the slot in a cluster.
fn slot_of(command: &[&[u8]]) -> ClusterHash {
    match command {
        [b"EVAL" | b"EVALSHA", _, b"0", ..] => ClusterHash::Random,
        [b"EVAL" | b"EVALSHA", ..] => ClusterHash::Offset(2),
        _ => ClusterHash::FirstKey,
    }
}

fn reply(frame: Resp3Frame) -> Result<Reply, NodeError> {
    Ok(match frame {
        Resp3Frame::Null => Reply::Nil,
        Resp3Frame::SimpleString { data, .. } => Reply::Status(text(&data).into()),
        Resp3Frame::Number { data, .. } => Reply::Integer(data),
        Resp3Frame::BlobString { data, .. } | Resp3Frame::VerbatimString { data, .. } => {
            Reply::Bytes(data.to_vec())
        }
        Resp3Frame::Array { data, .. } => {
            Reply::Array(data.into_iter().map(reply).collect::<Result<_, _>>()?)
        }
        Resp3Frame::SimpleError { data, .. } => return Err(refusal(&data)),
        Resp3Frame::BlobError { data, .. } => return Err(refusal(&text(&data))),
        _ => {
            return Err(NodeError::Unexpected("a reply of an unknown type".into()));
        }
    })
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Makes a node error of the text of a server's error, whose first word is the code.
fn refusal(error: &str) -> NodeError {
    let (code, message) = error.split_once(' ').unwrap_or((error, ""));
    NodeError::refused(code, message)
}

#[cfg(test)]
mod tests;
