//! The error of a node: why it gave no usable answer.

mod script;

use std::{error::Error, fmt, sync::Arc};

use crate::printable::Printable;

/// Why one node gave no usable answer.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum NodeError {
    /// The node did not answer within the time limit. It may still carry the command out.
    TimedOut,
    /// The node could not be reached. It did nothing.
    Unreachable(Arc<dyn Error + Send + Sync>),
    /// The connection was lost before the answer arrived. The node may have carried the command
    /// out.
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
    /// A lock on the node could not be released: its user may run neither scripts with the commands
    /// that a lock [needs](crate::node::redis#requirements-for-the-servers), nor a command that
    /// compares and deletes. So the node was not asked to acquire the lock.
    #[non_exhaustive]
    CannotRelease {
        /// The error that the script was refused with.
        error: Box<str>,
    },
    /// Too many commands to this node are unanswered. This one was not sent.
    Overloaded,
    /// The command was not sent: an earlier command for this lock was unanswered until its time was
    /// over, or the lock was released in the meantime.
    NotSent,
    /// The answer does not fit the command, or the node's code panicked. The node may have carried
    /// the command out.
    Unexpected(Box<str>),
}

impl NodeError {
    /// Makes a [`Refused`](Self::Refused) of an error that the server answered with.
    ///
    /// When Redis does not know a command, its error repeats the arguments, and one of them may be
    /// the owner value. This part of the message is cut off. The error of a command in a script has
    /// the code of that command's error, also from servers older than Redis 7.0, which put the
    /// place in the script before it.
    #[must_use]
    pub fn refused(code: impl Into<Box<str>>, message: &str) -> Self {
        let code = code.into();
        let message = message.split(", with args beginning with").next();
        let message = message.unwrap_or_default().trim();
        let (code, message) =
            script::error_in_script(&code, message).unwrap_or_else(|| (code, message.into()));
        Self::Refused { code, message }
    }

    /// Makes an [`Unreachable`](Self::Unreachable) of the reason why nothing was sent to the
    /// server.
    pub fn unreachable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unreachable(Arc::from(error.into()))
    }

    /// Whether the cause may soon pass.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::Overloaded => true,
            // The server does not know the user, or the command is wrong. All else is a state of
            // the server, such as `READONLY` during a failover.
            Self::Refused { code, message } => match &**code {
                "NOAUTH" | "WRONGPASS" | "NOPERM" | "WRONGTYPE" | "CROSSSLOT" | "NOSCRIPT" => false,
                // Proxies and scripts put other errors behind this word.
                "ERR" => !["unknown ", "wrong number "]
                    .iter()
                    .any(|it| message.starts_with(it)),
                _ => true,
            },
            error => !error.is_undone(),
        }
    }

    /// Whether the node has certainly not carried the command out.
    pub(crate) const fn is_undone(&self) -> bool {
        matches!(
            self,
            Self::Unreachable(_)
                | Self::Refused { .. }
                | Self::SameServer { .. }
                | Self::CannotRelease { .. }
                | Self::Overloaded
                | Self::NotSent
        )
    }
}

impl fmt::Display for NodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TimedOut => f.write_str("did not answer in time"),
            Self::Unreachable(error) => write!(f, "cannot be reached: {}", Printable(error)),
            Self::Disconnected(error) => write!(f, "lost the connection: {}", Printable(error)),
            Self::Refused { code, message } => {
                match &**code {
                    "NOAUTH" => f.write_str("requires a password")?,
                    "WRONGPASS" => f.write_str("does not accept the user or password")?,
                    "NOPERM" => f.write_str("does not permit the user to run the command")?,
                    "READONLY" => f.write_str("is read-only (a replica?)")?,
                    "OOM" => f.write_str("is out of memory")?,
                    "LOADING" => f.write_str("is still loading its data")?,
                    "MISCONF" => f.write_str("cannot persist its data")?,
                    _ => f.write_str("answered with an error")?,
                }
                write!(f, ": {}", Printable(code))?;
                match &**message {
                    "" => Ok(()),
                    message => write!(f, " {}", Printable(message)),
                }
            }
            Self::SameServer { other } => {
                let other = Printable(other);
                write!(f, "is the same server as {other}, and has no second vote")
            }
            Self::CannotRelease { error } => write!(
                f,
                "{}; so it cannot release locks, for which it has to run scripts, or a command that \
                 compares and deletes",
                Printable(error)
            ),
            Self::Overloaded => f.write_str("has left too many commands unanswered"),
            Self::NotSent => f.write_str(
                "was not asked: an earlier command for this lock was unanswered, or the lock was \
                 released",
            ),
            Self::Unexpected(reply) => {
                write!(f, "gave an unexpected answer: {}", Printable(reply))
            }
        }
    }
}

impl Error for NodeError {}
