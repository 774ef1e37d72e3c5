//! The errors of locking, extending and releasing.
//!
//! Each prints its cause, so none has a [`source`](std::error::Error::source).

use std::{error::Error, fmt, sync::Arc};

use crate::{ConfigError, Votes};

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
    /// A quorum granted, but so late that less than the
    /// [least validity](crate::Mutex::with_min_validity) was left. What was acquired has been
    /// released. The expiry is too short for the time that the nodes take.
    TooLate(Votes),
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

    /// How many attempts there were, if there was one.
    #[must_use]
    pub fn attempts(&self) -> Option<u32> {
        Some(self.votes()?.attempt)
    }

    /// The votes of the last attempt, if there was one.
    #[must_use]
    pub const fn votes(&self) -> Option<&Votes> {
        match self {
            Self::Taken(votes)
            | Self::TimedOut(votes)
            | Self::Unavailable(votes)
            | Self::TooLate(votes)
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
            Self::TooLate(votes) => {
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

impl Error for LockError {}

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

impl Error for ExtendError {}

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

impl Error for ReleaseError {}
