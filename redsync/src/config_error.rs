//! The error for a name or an option that is invalid.

use std::{error::Error, fmt, sync::Arc, time::Duration};

use crate::Printable;

/// Why nodes, names or options are invalid.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum ConfigError {
    /// There are no nodes.
    NoNodes,
    /// Two nodes have the same address.
    #[non_exhaustive]
    DuplicateNode {
        /// The address, without credentials.
        address: Arc<str>,
    },
    /// A node's URL does not parse, or asks for a feature that is not compiled in.
    #[non_exhaustive]
    Url {
        /// The URL, without credentials.
        url: Box<str>,
        /// Why it cannot be used.
        reason: Box<str>,
    },
    /// The mutex has no name.
    NoNames,
    /// The lock to be resumed has other names than the mutex, or another mode.
    #[non_exhaustive]
    OtherLock {
        /// The names of the mutex.
        name: Arc<str>,
    },
    /// The name, with its prefix, ends in `:fence` or in `:permit-` and a number. These are
    /// reserved for the keys of [fencing tokens](crate::fence) and of the
    /// [permits](crate::Redsync::semaphore) of semaphores.
    #[non_exhaustive]
    ReservedName {
        /// The name, with its prefix.
        name: Box<str>,
    },
    /// The mutex's name is empty.
    EmptyName,
    /// The mutex's name, with its prefix, is longer than [`Mutex::MAX_NAME_LEN`] bytes.
    ///
    /// [`Mutex::MAX_NAME_LEN`]: crate::Mutex::MAX_NAME_LEN
    #[non_exhaustive]
    NameTooLong {
        /// Its length in bytes.
        len: usize,
        /// The greatest length in bytes.
        limit: usize,
    },
    /// An option is out of its range.
    #[non_exhaustive]
    Option {
        /// The option: the name of its method without `with_`.
        option: &'static str,
        /// Its allowed values, such as `at least 1`.
        must: &'static str,
        /// Its value.
        is: Box<str>,
    },
    /// The expiry is too short: less drift, it does not exceed the least validity.
    #[non_exhaustive]
    NoValidity {
        /// The expiry.
        expiry: Duration,
        /// The time that is subtracted for drift.
        drift: Duration,
        /// The least validity that a lock must have left when it has been acquired.
        min_validity: Duration,
    },
}

impl ConfigError {
    /// The error for an option that is out of its range.
    pub(crate) fn option(option: &'static str, must: &'static str, is: &dyn fmt::Debug) -> Self {
        Self::Option {
            option,
            must,
            is: format!("{is:?}").into(),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoNodes => f.write_str("a lock needs at least one node"),
            Self::DuplicateNode { address } => write!(
                f,
                "the node {} is given twice, but a server has one vote",
                Printable(address)
            ),
            Self::Url { url, reason } => {
                let (url, reason) = (Printable(url), Printable(reason));
                write!(f, "the node URL `{url}` cannot be used: {reason}")
            }
            Self::NoNames => f.write_str("a mutex needs at least one name"),
            Self::OtherLock { name } => write!(
                f,
                "the mutex `{}` cannot resume this lock: its names or its mode differ",
                Printable(name)
            ),
            Self::ReservedName { name } => write!(
                f,
                "the name `{}` is reserved: it ends in `:fence`, or in `:permit-` and a number",
                Printable(name)
            ),
            Self::EmptyName => f.write_str("a mutex needs a name, and this one is empty"),
            Self::NameTooLong { len, limit } => write!(
                f,
                "the mutex's name has {len} bytes, but at most {limit} are allowed"
            ),
            Self::Option { option, must, is } => write!(f, "{option} must be {must}, but is {is}"),
            Self::NoValidity {
                expiry,
                drift,
                min_validity,
            } => write!(
                f,
                "the expiry of {expiry:?} is too short: less {drift:?} for drift, it does not exceed \
                 the least validity of {min_validity:?}"
            ),
        }
    }
}

impl Error for ConfigError {}
