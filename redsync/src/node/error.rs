//! Why one node gave no usable answer.

use std::{error::Error, fmt, sync::Arc};

/// Why one node gave no usable answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NodeError {
    /// The node did not answer within the time limit. It may still do what it was asked.
    TimedOut,
    /// The node could not be reached. It did nothing.
    Unreachable(Arc<dyn Error + Send + Sync>),
    /// The connection broke before the answer came. The node may have done what it was asked.
    Disconnected(Arc<dyn Error + Send + Sync>),
    /// The node answered with an error. It did nothing.
    #[non_exhaustive]
    Refused {
        /// The error's first word, such as `READONLY`, `OOM`, `NOAUTH` or `LOADING`.
        code: Box<str>,
        /// The rest of the error.
        message: Box<str>,
    },
    /// The node is the same server as another node, so its vote does not count.
    #[non_exhaustive]
    SameServer {
        /// The address of the node that is counted.
        other: Arc<str>,
    },
    /// Too many commands to this node are unanswered already. This one was not sent.
    Overloaded,
    /// The command was not sent: an earlier one for this lock was still unanswered when its time
    /// was over, or the lock was released meanwhile.
    NotSent,
    /// The answer makes no sense, or the node's code panicked.
    Unexpected(Box<str>),
}

impl NodeError {
    /// An error that the server answered with.
    ///
    /// Redis repeats the arguments of a command that it does not know, and one of them is the owner
    /// value: that part of the message is left out.
    #[must_use]
    pub fn refused(code: impl Into<Box<str>>, message: &str) -> Self {
        let message = message.split(", with args beginning with").next();
        Self::Refused {
            code: code.into(),
            message: message.unwrap_or_default().into(),
        }
    }

    /// Whether it may be over in a moment.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Overloaded => true,
            Self::Refused { code, .. } => &**code == "LOADING",
            error => error.is_ambiguous(),
        }
    }

    /// Whether the node may have done what it was asked.
    pub(crate) const fn is_ambiguous(&self) -> bool {
        matches!(self, Self::TimedOut | Self::Disconnected(_))
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("did not answer in time"),
            Self::Unreachable(error) => write!(f, "cannot be reached: {error}"),
            Self::Disconnected(error) => write!(f, "broke the connection: {error}"),
            Self::Refused { code, message } => {
                match &**code {
                    "NOAUTH" => f.write_str("wants a password")?,
                    "WRONGPASS" => f.write_str("does not accept the user or password")?,
                    "NOPERM" => f.write_str("does not permit the user to run the command")?,
                    "READONLY" => f.write_str("is read-only (a replica?)")?,
                    "OOM" => f.write_str("is out of memory")?,
                    "LOADING" => f.write_str("is still loading its data")?,
                    "MISCONF" => f.write_str("cannot persist its data")?,
                    _ => f.write_str("answered with an error")?,
                }
                write!(f, ": {code} {message}")
            }
            Self::SameServer { other } => {
                write!(f, "is the same server as {other} and does not count twice")
            }
            Self::Overloaded => f.write_str("leaves too many commands unanswered"),
            Self::NotSent => f.write_str("was not asked: an earlier command was in the way"),
            Self::Unexpected(reply) => write!(f, "gave an answer that makes no sense: {reply}"),
        }
    }
}

impl Error for NodeError {}
