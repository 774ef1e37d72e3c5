//! The parts of a lock that is passed from one guard to another.

use std::{fmt, sync::Arc, time::Duration};

use crate::{FencingToken, Mode, OwnerValue};

/// A lock without its guard. [`Guard::into_parts`](crate::Guard::into_parts) returns it, and
/// [`Mutex::resume`](crate::Mutex::resume) makes a guard of it, in this process or in another.
///
/// With the feature `serde` it can be serialized. The result contains the owner value: anyone who
/// reads it can release the lock.
#[derive(Clone)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[non_exhaustive]
pub struct GuardParts {
    /// The names, with their prefix.
    pub names: Vec<String>,
    /// The owner value. It is a credential.
    #[cfg_attr(feature = "serde", serde(with = "value_as_text"))]
    pub value: OwnerValue,
    /// Exclusive or shared.
    pub mode: Mode,
    /// The fencing token, if the lock is fenced.
    pub fencing_token: Option<FencingToken>,
    /// How long the lock was still valid when its guard was taken apart. If it is zero, the lock
    /// was lost, and cannot be resumed. (Otherwise `resume` does not rely on this: it asks the
    /// nodes.)
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

/// An owner value is serialized only as a part of a lock. [`OwnerValue`] itself does not implement
/// the traits of serde, so that it does not get into a log or an answer by accident.
#[cfg(feature = "serde")]
mod value_as_text {
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::OwnerValue;

    pub(super) fn serialize<S: Serializer>(value: &OwnerValue, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(value.as_str())
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<OwnerValue, D::Error> {
        String::deserialize(from).map(Into::into)
    }
}

/// The argument of [`Mutex::resume`](crate::Mutex::resume): the parts of a lock, or only its owner
/// value.
#[derive(Debug)]
pub struct Resume {
    pub(crate) value: OwnerValue,
    pub(crate) token: Option<FencingToken>,
    /// Whether the guard had lost the lock before it was taken apart.
    pub(crate) was_lost: bool,
    /// The names and the mode of the lock, if they are known.
    pub(crate) kind: Option<(Vec<Arc<str>>, Mode)>,
}

impl From<GuardParts> for Resume {
    fn from(parts: GuardParts) -> Self {
        let names = parts.names.into_iter().map(Into::into).collect();
        Self {
            value: parts.value,
            token: parts.fencing_token,
            was_lost: parts.remaining.is_zero(),
            kind: Some((names, parts.mode)),
        }
    }
}

impl<V: Into<OwnerValue>> From<V> for Resume {
    fn from(value: V) -> Self {
        Self {
            value: value.into(),
            token: None,
            was_lost: false,
            kind: None,
        }
    }
}
