//! A server's reply.

use std::{borrow::Cow, fmt};

use crate::node::NodeError;

/// A server's reply, as far as locks need to tell replies apart.
#[derive(Clone, PartialEq, Eq)]
pub enum Reply {
    /// Nothing: a missing key, or a condition that was not met.
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
    /// The error about a reply that makes no sense here.
    pub(crate) fn unexpected(&self) -> NodeError {
        NodeError::Unexpected(format!("{self:?}").into())
    }
}

/// The kind of the reply, not its content: that may be an owner value.
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
