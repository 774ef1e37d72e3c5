//! The values and errors of redis-rs, as replies and node errors.

use std::sync::Arc;

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};

use crate::node::{NodeError, redis::Reply};

/// What an error of a connection means, which `sends_once` or may repeat commands by itself.
pub(crate) fn failure(error: RedisError, sends_once: bool) -> NodeError {
    match refusal(&error) {
        Some(refused) => refused,
        // Its connection lives, and what is sent later comes behind it.
        None if error.is_timeout() => NodeError::TimedOut,
        // Nobody listened when it connected again.
        None if sends_once && error.is_connection_refusal() => {
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

/// The server's own error, if it is one.
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
            return Err(NodeError::Unexpected(
                "of a type no lock command has".into(),
            ));
        }
    })
}
