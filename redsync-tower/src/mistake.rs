//! The error event for a mistake in the program or its configuration.

use std::error::Error;

use http::{Extensions, Method, Uri};
use redsync::{LockError, Printable};

use crate::rejection::{LockRejection, LockRejectionReason};

/// Reports a rejection for such a mistake, with the request that was refused.
pub(crate) fn report(
    rejection: &LockRejection,
    method: &Method,
    uri: &Uri,
    extensions: &Extensions,
) {
    if rejection.reason() != LockRejectionReason::Misconfigured {
        return;
    }
    let error = rejection.source().unwrap_or(rejection);
    let route = matched_route(extensions).unwrap_or_else(|| uri.path());
    let route = Printable(route);
    let message = match error.downcast_ref() {
        Some(LockError::NotALock(_)) => "a key that is not a lock has the name of a lock",
        _ => "the lock layer is misconfigured",
    };
    tracing::error!(%method, %route, %error, "{message}");
}

/// The route of axum that matched the request.
#[cfg(feature = "axum")]
fn matched_route(extensions: &Extensions) -> Option<&str> {
    let matched = extensions.get::<axum::extract::MatchedPath>()?;
    Some(matched.as_str())
}

#[cfg(not(feature = "axum"))]
const fn matched_route(_: &Extensions) -> Option<&str> {
    None
}
