//! One command on its way over a connection, and its reply.

use std::{sync::Arc, time::Duration};

use redis::{Cmd, RedisError, RedisResult, Value};
use tokio::sync::oneshot;

use super::{
    replies::{failure, reply},
    shared::SharedConnection,
};
use crate::node::{NodeError, redis::exchange::Conversation};

/// How long a reply is waited for whose caller may wait for ever.
const MAX_PATIENCE: Duration = Duration::from_secs(60);

/// One command.
pub(crate) enum Item {
    /// About a lock: the answer is counted where the reply is read.
    Conversation(Conversation),
    /// A command of a caller that waits for the reply.
    Command(Cmd, oneshot::Sender<Result<Value, Undelivered>>),
}

/// Why there is no reply.
#[derive(Debug)]
pub(crate) struct Undelivered {
    pub(crate) error: RedisError,
    /// Whether the command has certainly not been sent.
    pub(crate) is_unsent: bool,
}

impl Undelivered {
    /// The connection takes no more commands, or the task that sends them has ended.
    pub(super) fn closed(is_unsent: bool) -> Self {
        Self {
            error: (redis::ErrorKind::Io, "the connection was given up").into(),
            is_unsent,
        }
    }
}

impl Item {
    /// How long the reply is waited for.
    pub(super) fn patience(&self) -> Duration {
        match self {
            Self::Conversation(conversation) => conversation.patience(),
            // Its caller decides.
            Self::Command(..) => MAX_PATIENCE,
        }
    }

    /// Whether it is still worth sending.
    pub(super) fn may_be_sent(&mut self) -> bool {
        match self {
            Self::Conversation(conversation) => conversation.may_be_sent(),
            // Nobody waits for it any more, and nothing was sent.
            Self::Command(_, reply) => !reply.is_closed(),
        }
    }

    pub(super) fn write(&self, command: &mut Cmd) {
        match self {
            Self::Conversation(conversation) => conversation.write(command),
            Self::Command(own, _) => command.clone_from(own),
        }
    }

    /// Takes the reply, and gives back an item that has to go on.
    pub(super) fn reply(self, value: RedisResult<Value>) -> Option<Self> {
        match self {
            Self::Conversation(conversation) => {
                let reply = match value {
                    Ok(value) => reply(value),
                    Err(error) => Err(failure(error, true)),
                };
                return conversation.reply(reply).map(Self::Conversation);
            }
            Self::Command(_, reply) => {
                // Or nobody waits for it any more.
                let _ = reply.send(value.map_err(|error| Undelivered {
                    error,
                    is_unsent: false,
                }));
            }
        }
        None
    }

    /// The connection has failed. `is_unsent` says whether the command has certainly not been sent.
    pub(super) fn fail<C: SharedConnection>(self, error: RedisError, is_unsent: bool) {
        match self {
            Self::Conversation(conversation) if is_unsent => {
                conversation.unsent(NodeError::Unreachable(Arc::new(error)));
            }
            Self::Conversation(conversation) => {
                conversation.fail(failure(error, C::SENDS_ONCE));
            }
            Self::Command(_, reply) => {
                let _ = reply.send(Err(Undelivered { error, is_unsent }));
            }
        }
    }
}
