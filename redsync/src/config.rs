//! A configuration that cannot work.

use std::{error::Error, fmt, sync::Arc, time::Duration};

/// The length that a name and its prefix may have together, in bytes.
pub(crate) const MAX_NAME_LEN: usize = 1024;

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

impl ConfigError {
    /// An option that is out of its range.
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
                "the mutex' name has {len} bytes, and at most {MAX_NAME_LEN} are allowed"
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

impl Error for ConfigError {}
