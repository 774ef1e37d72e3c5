//! Replies of servers.

use std::{borrow::Cow, fmt};

use crate::node::NodeError;

/// A server's reply, reduced to the kinds that locks have to tell apart.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// Null: a key is missing, or a condition was not met.
    Nil,
    /// A status such as `OK`.
    Status(Cow<'static, str>),
    /// A number.
    Integer(i64),
    /// A string of bytes.
    Bytes(Vec<u8>),
    /// Several replies.
    Array(Vec<Self>),
}

impl Reply {
    /// Makes the error for a reply that does not fit the command.
    pub(crate) fn unexpected(&self) -> NodeError {
        NodeError::Unexpected(format!("{self:?}").into())
    }
}

/// Shows the kind of the reply, and not its content, which may be an owner value.
impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nil => "nothing",
            Self::Status(_) => "a status",
            Self::Integer(_) => "a number",
            Self::Bytes(_) => "a string",
            Self::Array(_) => "an array",
        })
    }
}

/// What the tests of the readers of replies expect of them.
#[cfg(all(test, any(feature = "_redis", feature = "fred")))]
pub(crate) mod votes {
    use std::time::Duration;

    use super::Reply;
    use crate::node::{AcquireVote, Answer, Entry, Operation};

    pub(crate) fn is_number(bytes: &[u8]) -> bool {
        let text = str::from_utf8(bytes).unwrap_or_default();
        text.parse::<u64>().is_ok() && !text.starts_with('+')
    }

    /// Whether a reply to the script that acquires is a vote for the lock.
    pub(crate) fn is_vote_for(reply: &Reply) -> bool {
        let entry = Entry::new("a", "mine".into(), Duration::from_secs(8));
        let answer = reply.answer(Operation::Acquire, &entry);
        matches!(answer, Ok(Answer::Acquire(AcquireVote::Acquired { .. })))
    }
}
