//! One command on its way over a connection, and its reply.

use std::{sync::Arc, time::Duration};

use redis::{Cmd, RedisError, RedisResult, Value};
use tokio::{sync::oneshot, time::Instant};

use super::{
    kind::SharedConnection,
    replies::{failure, reply},
};
use crate::node::{NodeError, redis::conversation::Conversation};

/// How long to wait for the reply to a command whose caller sets no limit.
pub(super) const MAX_PATIENCE: Duration = Duration::from_secs(60);

/// One command.
pub(crate) enum Item {
    /// A command about a lock. Its answer is counted where the reply is read.
    Conversation(Conversation),
    /// A command whose caller waits for the reply.
    Command(Cmd, oneshot::Sender<Result<Value, Undelivered>>),
}

/// Why a command has no reply.
#[derive(Debug)]
pub(crate) struct Undelivered {
    pub(crate) error: RedisError,
    /// Whether the command has certainly not been sent.
    pub(crate) is_unsent: bool,
}

impl Undelivered {
    /// The error if the list takes no more commands, or if the collector has ended.
    pub(super) fn closed(is_unsent: bool) -> Self {
        Self {
            error: (redis::ErrorKind::Io, "the connection was abandoned").into(),
            is_unsent,
        }
    }
}

impl From<Conversation> for Item {
    fn from(conversation: Conversation) -> Self {
        Self::Conversation(conversation)
    }
}

impl Item {
    /// How long to wait for the reply to a command that is sent at `now`, if it has a limit of its own.
    pub(super) fn patience(&self, now: Instant) -> Option<Duration> {
        match self {
            Self::Conversation(conversation) => Some(conversation.patience(now)),
            // The caller decides.
            Self::Command(..) => None,
        }
    }

    /// Whether the command is still worth sending at `now`.
    pub(super) fn may_be_sent(&mut self, now: Instant) -> bool {
        match self {
            Self::Conversation(conversation) => conversation.may_be_sent(now),
            // If nobody waits for the reply any more, nothing is sent.
            Self::Command(_, reply) => !reply.is_closed(),
        }
    }

    pub(super) fn write(&self, command: &mut Cmd) {
        match self {
            Self::Conversation(conversation) => conversation.write(command),
            Self::Command(own, _) => command.clone_from(own),
        }
    }

    /// Processes the reply. Returns the item if another command follows.
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
                // It fails if nobody waits for the reply any more.
                let _ = reply.send(value.map_err(|error| Undelivered {
                    error,
                    is_unsent: false,
                }));
            }
        }
        None
    }

    /// Reports that the connection has failed. `is_unsent` says whether the command has certainly
    /// not been sent.
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
