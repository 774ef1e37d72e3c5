//! One command on its way over a connection, and its reply.

use std::{mem, sync::Arc, time::Duration};

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
    /// For a command that was not sent, because the list takes no more commands.
    pub(super) fn unsent() -> Self {
        Self {
            error: abandoned(),
            is_unsent: true,
        }
    }

    /// For a command that was sent, and whose reply the collector no longer reads.
    pub(super) fn unread() -> Self {
        Self {
            error: abandoned(),
            is_unsent: false,
        }
    }
}

fn abandoned() -> RedisError {
    (redis::ErrorKind::Io, "the connection was abandoned").into()
}

impl From<Conversation> for Item {
    fn from(conversation: Conversation) -> Self {
        Self::Conversation(conversation)
    }
}

impl Item {
    /// How long to wait for the reply to a command that is sent at `now`, if it has a limit of its
    /// own.
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

    /// Takes the question, if there is one. Nobody takes the reply then.
    pub(super) fn take_conversation(&mut self) -> Option<Conversation> {
        let nobody = || Self::Command(Cmd::new(), oneshot::channel().0);
        match self {
            Self::Conversation(_) => match mem::replace(self, nobody()) {
                Self::Conversation(conversation) => Some(conversation),
                Self::Command(..) => None,
            },
            Self::Command(..) => None,
        }
    }

    pub(super) fn write(&self, command: &mut Cmd) {
        match self {
            Self::Conversation(conversation) => conversation.write(command),
            Self::Command(own, _) => command.clone_from(own),
        }
    }

    /// Processes the reply. Returns the item if another command follows.
    pub(super) fn reply<C: SharedConnection>(self, value: RedisResult<Value>) -> Option<Self> {
        match self {
            Self::Conversation(conversation) => {
                let reply = value.map_err(failure::<C>).and_then(reply);
                conversation.reply(reply).map(Self::Conversation)
            }
            Self::Command(_, reply) => {
                // It fails if nobody waits for the reply any more.
                let _ = reply.send(value.map_err(|error| Undelivered {
                    error,
                    is_unsent: false,
                }));
                None
            }
        }
    }

    /// Reports that there will be no reply.
    pub(super) fn fail<C: SharedConnection>(self, undelivered: Undelivered) {
        match self {
            Self::Conversation(conversation) if undelivered.is_unsent => {
                conversation.unsent(NodeError::Unreachable(Arc::new(undelivered.error)));
            }
            Self::Conversation(conversation) => {
                conversation.fail(failure::<C>(undelivered.error));
            }
            Self::Command(_, reply) => {
                // It fails if nobody waits for the reply any more.
                let _ = reply.send(Err(undelivered));
            }
        }
    }
}
