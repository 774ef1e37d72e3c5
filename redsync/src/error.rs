//! What can go wrong, told apart by type.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use crate::Votes;

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// Why a lock was not acquired.
///
/// [`Taken`](Self::Taken) and [`TimedOut`](Self::TimedOut) are contention: the lock is held, come
/// back later. [`Unavailable`](Self::Unavailable) is an outage of the nodes. The others are
/// mistakes in the program.
#[derive(Debug)]
#[non_exhaustive]
pub enum LockError {
    /// Another holds the lock, and all tries were used up.
    Taken(Votes),
    /// Another held the lock up to the deadline the caller gave.
    TimedOut(Votes),
    /// Too few nodes gave a usable answer, or gave it in time, for anyone to know.
    Unavailable(Votes),
    /// The name or an option of the mutex cannot work.
    Config(ConfigError),
    /// No owner value could be made, or the one that was given is empty.
    Value(BoxError),
    /// [`Mutex::resume`](crate::Mutex::resume) was given a value that does not hold the lock.
    NotHeld(Votes),
    /// As many wait for the lock in this process as
    /// [may](crate::Mutex::with_max_waiting).
    #[non_exhaustive]
    TooManyWaiting {
        /// The name, with its prefix.
        name: Arc<str>,
        /// How many may wait.
        limit: usize,
    },
}

impl LockError {
    /// Whether the lock is held by another: [`Taken`](Self::Taken),
    /// [`TimedOut`](Self::TimedOut) or [`TooManyWaiting`](Self::TooManyWaiting).
    #[must_use]
    pub const fn is_contention(&self) -> bool {
        matches!(
            self,
            Self::Taken(_) | Self::TimedOut(_) | Self::TooManyWaiting { .. }
        )
    }

    /// The votes of the last try, where there was one.
    #[must_use]
    pub const fn votes(&self) -> Option<&Votes> {
        match self {
            Self::Taken(votes)
            | Self::TimedOut(votes)
            | Self::Unavailable(votes)
            | Self::NotHeld(votes) => Some(votes),
            Self::Config(_) | Self::Value(_) | Self::TooManyWaiting { .. } => None,
        }
    }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(votes) => {
                write!(f, "`{}` is held by another: ", votes.name())?;
                votes.describe(f, "acquired", "taken")
            }
            Self::TimedOut(votes) => {
                write!(
                    f,
                    "`{}` was held by another up to the deadline: ",
                    votes.name()
                )?;
                votes.describe(f, "acquired", "taken")
            }
            Self::Unavailable(votes) if votes.granted() >= votes.quorum() => {
                write!(
                    f,
                    "`{}` was acquired too late to leave enough validity: ",
                    votes.name()
                )?;
                votes.describe(f, "acquired", "taken")
            }
            Self::Unavailable(votes) => {
                write!(f, "no quorum could decide on `{}`: ", votes.name())?;
                votes.describe(f, "acquired", "taken")
            }
            Self::Config(error) => error.fmt(f),
            Self::Value(error) => write!(f, "the owner value cannot be used: {error}"),
            Self::NotHeld(votes) => {
                write!(f, "`{}` is not held with the given value: ", votes.name())?;
                votes.describe(f, "holds it", "does not")
            }
            Self::TooManyWaiting { name, limit } => {
                write!(f, "{limit} wait for `{name}` in this process already")
            }
        }
    }
}

impl Error for LockError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Config(error) => Some(error),
            Self::Value(error) => Some(&**error),
            _ => Some(self.votes()?.first_failure()?),
        }
    }
}

impl From<ConfigError> for LockError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// Why [`Mutex::run`](crate::Mutex::run) has no output.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The lock could not be had, and the work was not begun.
    Lock(LockError),
    /// The lock was lost while the work was done.
    Lost,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock(error) => error.fmt(f),
            Self::Lost => f.write_str("the lock was lost while the work was done"),
        }
    }
}

impl Error for RunError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Lock(error) => Some(error),
            Self::Lost => None,
        }
    }
}

impl From<LockError> for RunError {
    fn from(error: LockError) -> Self {
        Self::Lock(error)
    }
}

/// Why a lock was not extended.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExtendError {
    /// The lock is lost: its validity has ended, or the nodes say that it is no longer ours.
    Lost,
    /// Too few nodes confirmed in time. The lock is valid as long as it was before; extending can
    /// be tried again.
    Failed(Votes),
}

impl fmt::Display for ExtendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost => f.write_str("the lock is lost"),
            Self::Failed(votes) => {
                write!(f, "no quorum extended `{}`: ", votes.name())?;
                votes.describe(f, "extended", "is not ours")
            }
        }
    }
}

impl Error for ExtendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Lost => None,
            Self::Failed(votes) => Some(votes.first_failure()?),
        }
    }
}

/// It is unknown whether the lock was still held when it was released: too few nodes answered.
///
/// The release goes on in the background where it can; where it cannot, the key expires.
#[derive(Debug)]
pub struct ReleaseError(pub(crate) Votes);

impl ReleaseError {
    /// What each node said.
    #[must_use]
    pub const fn votes(&self) -> &Votes {
        &self.0
    }
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "no quorum confirmed the release of `{}`: ",
            self.0.name()
        )?;
        self.0.describe(f, "released", "was not ours")
    }
}

impl Error for ReleaseError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(self.0.first_failure()?)
    }
}

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

impl Error for NodeError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreachable(error) | Self::Disconnected(error) => Some(&**error),
            _ => None,
        }
    }
}

/// A configuration that cannot work.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// There is no node.
    NoNodes,
    /// Two nodes have the same address.
    #[non_exhaustive]
    DuplicateNode {
        /// The address, without credentials.
        address: Arc<str>,
    },
    /// A node's URL does not parse, or asks for what is not compiled in.
    #[non_exhaustive]
    Url {
        /// The URL, without credentials.
        url: Box<str>,
        /// What is wrong with it.
        source: Arc<dyn Error + Send + Sync>,
    },
    /// There is no name to lock.
    NoNames,
    /// What is to be resumed is a lock on other names, or in another mode.
    #[non_exhaustive]
    OtherLock {
        /// The names of the mutex.
        name: Arc<str>,
    },
    /// The name ends as the keys of counters do, in `:fence`.
    #[non_exhaustive]
    ReservedName {
        /// The name.
        name: Box<str>,
    },
    /// The mutex' name is empty.
    EmptyName,
    /// The mutex' name, with its prefix, is longer than [`Mutex::MAX_NAME_LEN`] bytes.
    ///
    /// [`Mutex::MAX_NAME_LEN`]: crate::Mutex::MAX_NAME_LEN
    #[non_exhaustive]
    NameTooLong {
        /// Its length in bytes.
        len: usize,
    },
    /// An option is out of its range.
    #[non_exhaustive]
    Option {
        /// The option, as its method is called without `with_`.
        option: &'static str,
        /// What it must be.
        must: &'static str,
        /// What it is.
        is: Box<str>,
    },
    /// The expiry less drift leaves no more than the least validity.
    #[non_exhaustive]
    NoValidity {
        /// The expiry.
        expiry: Duration,
        /// What is taken off for drift.
        drift: Duration,
        /// The least validity a lock must have left.
        min_validity: Duration,
    },
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNodes => f.write_str("a lock needs at least one node"),
            Self::DuplicateNode { address } => write!(
                f,
                "the node {address} is given twice, but a server has one vote"
            ),
            Self::Url { url, source } => write!(f, "the node URL `{url}` cannot be used: {source}"),
            Self::NoNames => f.write_str("a mutex of several names needs at least one"),
            Self::OtherLock { name } => write!(
                f,
                "what is to be resumed on `{name}` is a lock on other names, or in another mode"
            ),
            Self::ReservedName { name } => write!(
                f,
                "the name `{name}` ends in `:fence`, as the keys of fencing tokens do"
            ),
            Self::EmptyName => f.write_str("a mutex needs a name, and this one is empty"),
            Self::NameTooLong { len } => write!(
                f,
                "the mutex' name has {len} bytes, and at most {} are allowed",
                crate::Mutex::MAX_NAME_LEN
            ),
            Self::Option { option, must, is } => write!(f, "{option} must be {must}, but is {is}"),
            Self::NoValidity {
                expiry,
                drift,
                min_validity,
            } => write!(
                f,
                "an expiry of {expiry:?} less {drift:?} for drift leaves no more than the least \
                 validity of {min_validity:?}"
            ),
        }
    }
}

impl Error for ConfigError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Url { source, .. } => Some(&**source),
            _ => None,
        }
    }
}
