//! The conversion of redis-rs' values and errors into replies and node errors.

use std::sync::Arc;

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};

use super::kind::SharedConnection;
use crate::node::{NodeError, redis::Reply};

/// The node error for an error of a connection of this kind.
pub(crate) fn failure<C: SharedConnection>(error: RedisError) -> NodeError {
    match refusal(&error) {
        Some(refused) => refused,
        // The connection is still alive, and later commands follow this one.
        None if error.is_timeout() => NodeError::TimedOut,
        // The server refused the connection when the client reconnected.
        None if C::SENDS_ONCE && error.is_connection_refusal() => {
            NodeError::Unreachable(Arc::new(error))
        }
        None => NodeError::Disconnected(Arc::new(error)),
    }
}

pub(crate) fn packed(command: &[&[u8]]) -> Cmd {
    let size = command.iter().map(|arg| arg.len()).sum();
    let mut cmd = Cmd::with_capacity(command.len(), size);
    for arg in command {
        cmd.arg(*arg);
    }
    cmd
}

/// The node error, if the server itself answered with an error.
pub(crate) fn refusal(error: &RedisError) -> Option<NodeError> {
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

pub(crate) fn reply(value: Value) -> Result<Reply, NodeError> {
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
            return Err(NodeError::Unexpected("a reply of an unknown type".into()));
        }
    })
}

#[cfg(test)]
pub(crate) mod tests;
