//! Why a request that needs a lock has no valid key.

use std::{borrow::Cow, error::Error, fmt};

use http::StatusCode;
use redsync::Printable;

/// Why a request that needs a lock has no valid key.
///
/// It has no [source](Error::source). The layer answers with a
/// [`LockRejection`](crate::LockRejection) that is made from it.
///
/// ```
/// use http::StatusCode;
/// use redsync_tower::{LockRejection, key::KeyError};
///
/// let error = KeyError::Rejected(StatusCode::NOT_FOUND, "There is no such order.".into());
/// assert_eq!(LockRejection::from(error).status(), StatusCode::NOT_FOUND);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum KeyError {
    /// The client made a mistake. The response has status 400 and this text as its `detail`.
    BadRequest(Cow<'static, str>),
    /// The client made a mistake. The response has this status and this text as its `detail`.
    Rejected(StatusCode, Cow<'static, str>),
    /// The program made a mistake. The response has status 500, and an error event contains this
    /// text, the method and the route. The client does not see them.
    Misconfigured(Cow<'static, str>),
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest(detail) | Self::Rejected(_, detail) | Self::Misconfigured(detail) => {
                Printable(detail).fmt(f)
            }
        }
    }
}

impl Error for KeyError {}
