//! What drivers on redis-rs share: its commands, values and errors.

use std::sync::Arc;

use redis::{Cmd, ErrorKind, RedisError, RedisResult, ServerErrorKind, Value, aio::ConnectionLike};

use super::Reply;
use crate::NodeError;

/// A connection that all its clones share.
pub trait Connection: ConnectionLike + Clone + Send + Sync + 'static {
    /// Whether it sends a command at most once. One that does not cannot tell that a command was
    /// never sent.
    const SENDS_ONCE: bool = true;

    /// Whether commands on any keys can be sent together.
    const PIPELINES: bool = true;
}

impl Connection for redis::aio::MultiplexedConnection {}

#[cfg(feature = "redis-rs")]
impl Connection for redis::aio::ConnectionManager {}

#[cfg(feature = "cluster")]
impl Connection for redis::cluster_async::ClusterConnection {
    const SENDS_ONCE: bool = false;
    const PIPELINES: bool = false;
}

pub(super) async fn send<C: Connection>(connection: &C, command: &Cmd) -> RedisResult<Value> {
    let mut connection = connection.clone();
    let sent = connection.req_packed_command(command).await;
    sent.and_then(Value::extract_error)
}

/// What an error of a connection means that was made once.
pub(super) fn failure<C: Connection>(error: RedisError) -> NodeError {
    match refusal(&error) {
        Some(refused) => refused,
        // Its connection lives, and what is sent later comes behind it.
        None if error.is_timeout() => NodeError::TimedOut,
        // Nobody listened when it connected again.
        None if C::SENDS_ONCE && error.is_connection_refusal() => {
            NodeError::Unreachable(Arc::new(error))
        }
        None => NodeError::Disconnected(Arc::new(error)),
    }
}

pub(super) fn packed(command: &[&[u8]]) -> Cmd {
    let size = command.iter().map(|arg| arg.len()).sum();
    let mut cmd = Cmd::with_capacity(command.len(), size);
    for arg in command {
        cmd.arg(*arg);
    }
    cmd
}

/// The server's own error, if it is one.
pub(super) fn refusal(error: &RedisError) -> Option<NodeError> {
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

pub(super) fn reply(value: Value) -> Result<Reply, NodeError> {
    Ok(match value {
        Value::Nil => Reply::Nil,
        Value::Okay => Reply::Status("OK".into()),
        Value::SimpleString(status) => Reply::Status(status.into()),
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
