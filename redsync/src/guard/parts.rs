//! A lock on its way from one guard to another.

use std::{fmt, sync::Arc, time::Duration};

use crate::{FencingToken, Mode, OwnerValue};

/// A lock without its guard, from [`Guard::into_parts`](crate::Guard::into_parts), to be taken up
/// with [`Mutex::resume`](crate::Mutex::resume) here or elsewhere.
///
/// With the feature `serde` it can be written and read. What is written contains the owner value:
/// anyone who reads it can release the lock.
#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct GuardParts {
    /// The names, with their prefix.
    pub names: Vec<String>,
    /// The owner value: a credential.
    pub value: String,
    /// Exclusive or shared.
    pub mode: Mode,
    /// The fencing token, of a fenced lock.
    pub fencing_token: Option<FencingToken>,
    /// How long the lock was held from the moment it was taken apart. Whoever resumes it asks the
    /// nodes what is left of that.
    pub remaining: Duration,
}

impl fmt::Debug for GuardParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GuardParts")
            .field("names", &self.names)
            .field("mode", &self.mode)
            .field("fencing_token", &self.fencing_token)
            .field("remaining", &self.remaining)
            .finish_non_exhaustive()
    }
}

/// What [`Mutex::resume`](crate::Mutex::resume) takes: a lock's parts, or its owner value.
#[derive(Debug)]
pub struct Resume {
    pub(crate) value: OwnerValue,
    pub(crate) token: Option<FencingToken>,
    /// The names and the mode of the lock, where they are known.
    pub(crate) kind: Option<(Vec<Arc<str>>, Mode)>,
}

impl From<GuardParts> for Resume {
    fn from(parts: GuardParts) -> Self {
        let names = parts.names.into_iter().map(Into::into).collect();
        Self {
            value: parts.value.into(),
            token: parts.fencing_token,
            kind: Some((names, parts.mode)),
        }
    }
}

impl<V: Into<OwnerValue>> From<V> for Resume {
    fn from(value: V) -> Self {
        Self {
            value: value.into(),
            token: None,
            kind: None,
        }
    }
}
