//! The errors of locking, extending, verifying and releasing.
//!
//! Each prints its cause, so none has a [`source`](std::error::Error::source).

use std::{error::Error, fmt, sync::Arc};

use crate::{ConfigError, Printable, Votes, fence::is_counter};

pub(crate) type BoxError = Box<dyn Error + Send + Sync>;

/// Why a lock was not acquired.
///
/// * [`Taken`](Self::Taken), [`TimedOut`](Self::TimedOut) and
///   [`TooManyWaiting`](Self::TooManyWaiting) mean contention: another holder has the lock. A later
///   call can succeed.
/// * [`Unavailable`](Self::Unavailable) means an outage: too few nodes answered.
/// * [`TooLate`](Self::TooLate) means that the nodes are too slow for the expiry.
/// * [`NotALock`](Self::NotALock) means that something else uses the key. Until a person changes
///   that, no call can succeed.
/// * [`NotHeld`](Self::NotHeld) means that a lock to be resumed has expired or was released.
/// * [`Config`](Self::Config) and [`Value`](Self::Value) are mistakes in the program or its
///   configuration.
///
/// # Example
///
/// ```
/// use redsync::{LockError, Redsync};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let redsync = Redsync::in_memory(3);
/// match redsync.mutex("order:42").lock().await {
///     Ok(guard) => { /* ... work on the order ... */ }
///     Err(error) if error.is_contention() => println!("come back later: {error}"),
///     Err(LockError::Unavailable(votes)) => eprintln!("the nodes are down: {votes}"),
///     Err(error) => eprintln!("{error}"),
/// }
/// # }
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub enum LockError {
    /// Another holder has the lock, and the last attempt has failed.
    Taken(Votes),
    /// Another holder still has the lock at the caller's deadline.
    TimedOut(Votes),
    /// Too few nodes gave a usable answer in time to decide.
    Unavailable(Votes),
    /// A quorum granted the lock, but too late: less than the
    /// [least validity](crate::Mutex::with_min_validity) was left. The lock has been released. If
    /// this repeats, the expiry is too short for the time that the nodes take to answer.
    TooLate(Votes),
    /// A name cannot be locked, because a key with that name is not a lock: the nodes without such
    /// a key are too few for a quorum. [`key`](Self::key) returns the key. Nobody will release it,
    /// so waiting does not help. It is not changed.
    ///
    /// A key is not a lock if it has no expiry, or another type than locks have. Every lock is set
    /// together with its expiry, by this crate and by go-redsync. If the name is fenced, the reason
    /// may also be the key of its [counter](crate::fence), such as `{order:42}:fence`, which is not
    /// a number.
    NotALock(Votes),
    /// A name or an option of the mutex is invalid.
    Config(ConfigError),
    /// No owner value could be made, or the value to resume with is empty.
    Value(BoxError),
    /// [`Mutex::resume`](crate::Mutex::resume) was called with an owner value that does not hold
    /// the lock.
    NotHeld(Votes),
    /// The queue is full: as many callers wait for the lock in this process as
    /// [`Mutex::with_max_waiting`](crate::Mutex::with_max_waiting) allows.
    #[non_exhaustive]
    TooManyWaiting {
        /// The name, with its prefix.
        name: Arc<str>,
        /// How many callers may wait.
        limit: usize,
    },
}

impl LockError {
    /// Returns whether the reason is contention: [`Taken`](Self::Taken),
    /// [`TimedOut`](Self::TimedOut) or [`TooManyWaiting`](Self::TooManyWaiting).
    #[must_use]
    pub const fn is_contention(&self) -> bool {
        matches!(
            self,
            Self::Taken(_) | Self::TimedOut(_) | Self::TooManyWaiting { .. }
        )
    }

    /// Returns the key that is not a lock, if that is the reason. It is the name with its prefix.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self {
            Self::NotALock(votes) => votes.not_a_lock().map(|key| &**key),
            _ => None,
        }
    }

    /// Returns how many attempts were made; [`None`] if the error came before the first one.
    #[must_use]
    pub fn attempts(&self) -> Option<u32> {
        Some(self.votes()?.attempt)
    }

    /// Returns the nodes' votes in the last attempt; [`None`] if the error came before the first
    /// one.
    #[must_use]
    pub const fn votes(&self) -> Option<&Votes> {
        match self {
            Self::Taken(votes)
            | Self::TimedOut(votes)
            | Self::Unavailable(votes)
            | Self::TooLate(votes)
            | Self::NotALock(votes)
            | Self::NotHeld(votes) => Some(votes),
            Self::Config(_) | Self::Value(_) | Self::TooManyWaiting { .. } => None,
        }
    }
}

impl fmt::Display for LockError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Taken(votes) => {
                let (name, votes) = (&votes.name, of_attempt(votes));
                write!(f, "another holder has `{name}`: {votes}")
            }
            Self::TimedOut(votes) => {
                let (name, votes) = (&votes.name, of_attempt(votes));
                write!(f, "another holder had `{name}` up to the deadline: {votes}")
            }
            Self::TooLate(votes) => {
                let (name, votes) = (&votes.name, of_attempt(votes));
                write!(
                    f,
                    "`{name}` was acquired too late to be valid for long enough; the nodes are \
                     slow, or the expiry is short: {votes}"
                )
            }
            Self::Unavailable(votes) => {
                let (name, votes) = (&votes.name, of_attempt(votes));
                write!(f, "too few nodes answered to decide on `{name}`: {votes}")
            }
            Self::NotALock(votes) => {
                let key = self.key().unwrap_or_else(|| votes.name());
                let reason = if is_counter(key) {
                    "a counter of fencing tokens (it is not a number)"
                } else {
                    "a lock (it has no expiry or is of another type)"
                };
                let (key, votes) = (Printable(key), of_attempt(votes));
                write!(
                    f,
                    "the key `{key}` is not {reason}; delete it or use another name: {votes}"
                )
            }
            Self::Config(error) => error.fmt(f),
            Self::Value(error) => {
                write!(f, "the owner value cannot be used: {}", Printable(error))
            }
            Self::NotHeld(votes) => {
                let (name, votes) = (&votes.name, of_verification(votes));
                write!(f, "`{name}` is not held with the given value: {votes}")
            }
            Self::TooManyWaiting { name, limit } => {
                let name = Printable(name);
                write!(
                    f,
                    "{limit} callers are already waiting for `{name}` in this process, which is \
                     the limit (`max_waiting`)"
                )
            }
        }
    }
}

fn of_attempt(votes: &Votes) -> impl fmt::Display {
    votes.described("acquired", "taken")
}

fn of_verification(votes: &Votes) -> impl fmt::Display {
    votes.described("keeps it", "does not keep it")
}

impl Error for LockError {}

impl From<ConfigError> for LockError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

/// Why [`Mutex::run`](crate::Mutex::run) returned no output.
#[derive(Debug)]
#[non_exhaustive]
pub enum RunError {
    /// The lock could not be acquired, and the work has not begun.
    Lock(LockError),
    /// The lock was lost while the work was running.
    Lost,
}

impl fmt::Display for RunError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock(error) => error.fmt(f),
            Self::Lost => f.write_str("the lock was lost while the work was running"),
        }
    }
}

impl Error for RunError {}

impl From<LockError> for RunError {
    fn from(error: LockError) -> Self {
        Self::Lock(error)
    }
}

/// Why a lock was not extended.
#[derive(Debug)]
#[non_exhaustive]
pub enum ExtendError {
    /// The lock is lost: its validity has ended, or too many nodes no longer keep its key. The
    /// votes are those of the last round that did not confirm the lock. [`None`] if there was none:
    /// the lock was not extended in time.
    Lost(Option<Votes>),
    /// Too few nodes confirmed in time. The lock is valid as long as before, and can be extended
    /// again.
    Failed(Votes),
}

impl fmt::Display for ExtendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lost(None) => f.write_str("the lock is lost: it was not extended in time"),
            Self::Lost(Some(votes)) => {
                let (name, votes) = (
                    &votes.name,
                    votes.described("keeps it", "had another's key"),
                );
                write!(f, "the lock `{name}` is lost: {votes}")
            }
            Self::Failed(votes) => {
                let (name, votes) = (
                    &votes.name,
                    votes.described("extended", "had another's key"),
                );
                write!(f, "no quorum extended `{name}`: {votes}")
            }
        }
    }
}

impl Error for ExtendError {}

/// Why it is unknown whether a majority of the nodes keeps the lock: too few nodes answered
/// [`Guard::verify`](crate::Guard::verify).
#[derive(Debug)]
pub struct VerifyError(pub(crate) Votes);

impl VerifyError {
    /// Returns each node's vote on whether it keeps the key.
    #[must_use]
    pub const fn votes(&self) -> &Votes {
        &self.0
    }
}

impl fmt::Display for VerifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, votes) = (&self.0.name, of_verification(&self.0));
        write!(f, "too few nodes answered to verify `{name}`: {votes}")
    }
}

impl Error for VerifyError {}

/// Why it is unknown whether the lock was held to the end: too few nodes answered the release.
///
/// The release continues in the background. On nodes that it does not reach, the key expires.
#[derive(Debug)]
pub struct ReleaseError(pub(crate) Votes);

impl ReleaseError {
    /// Returns each node's vote on the release.
    #[must_use]
    pub const fn votes(&self) -> &Votes {
        &self.0
    }
}

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let votes = self.0.described("released", "did not keep it");
        let name = &self.0.name;
        write!(f, "no quorum confirmed the release of `{name}`: {votes}")
    }
}

impl Error for ReleaseError {}
