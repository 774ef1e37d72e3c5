//! The layer's own responses: one function for each format.
//!
//! A layer answers a request itself if the request does not acquire its lock, or loses it. The
//! response is made from a [`LockRejection`], whose docs have the table of reasons and statuses,
//! and which is in the response's extensions.
//!
//! * [`problem`] is the default: problem details in JSON (RFC 9457).
//! * `grpc` answers gRPC requests (feature `grpc`).
//!
//! # Changing the responses
//!
//! One call changes the status for contention, and one the problem types:
//!
//! ```
//! # use http::StatusCode;
//! # use redsync::Redsync;
//! # use redsync_tower::{RedlockLayer, key};
//! # let redsync = Redsync::in_memory(3);
//! let layer = RedlockLayer::new(redsync, key::header("device-id"))
//!     .with_contention_status(StatusCode::CONFLICT) // even after a wait
//!     .with_problem_types("https://api.example.com/problems#");
//! ```
//!
//! [`with_response`](crate::RedlockLayer::with_response) replaces the format. Its function can
//! start from one of the functions here:
//!
//! ```
//! # use redsync::Redsync;
//! # use redsync_tower::{LockRejection, RedlockLayer, key};
//! # let redsync = Redsync::in_memory(3);
//! use redsync_tower::response;
//!
//! let layer = RedlockLayer::new(redsync, key::header("device-id"))
//!     .with_response(|rejection: &LockRejection| {
//!         // The same status and `Retry-After`, but plain text.
//!         let mut response = response::problem(rejection).map(|_| format!("{rejection}\n"));
//!         let plain = "text/plain; charset=utf-8".parse().expect("a header value");
//!         response.headers_mut().insert("content-type", plain);
//!         response
//!     });
//! ```
//!
//! # `Retry-After`
//!
//! A response has `Retry-After` if the same request is likely to succeed a little later. For
//! contention it is how long locks of the layer are usually held, unless
//! [`with_retry_after`](crate::RedlockLayer::with_retry_after) sets another time. The body has it
//! too, as `retry_after`.
//!
//! A script in a browser can read the body of a cross-origin response, but only those headers that
//! the server exposes with `Access-Control-Expose-Headers: retry-after` (Fetch standard, section
//! "HTTP extensions"). With tower-http's `CorsLayer`, that is
//! `.expose_headers([http::header::RETRY_AFTER])`. Apply the `CorsLayer` outside of the lock:
//! otherwise the layer's own responses have no CORS headers, and the script cannot read them at
//! all.

#[cfg(feature = "grpc")]
mod grpc;
pub(crate) mod prefer;
mod problem;

use bytes::Bytes;
use http::{HeaderMap, Response};

#[cfg(feature = "grpc")]
pub use self::grpc::grpc;
pub use self::problem::problem;
use crate::rejection::LockRejection;

/// The response formats.
#[derive(Clone, Copy)]
pub(crate) enum Format {
    Problem,
    #[cfg(feature = "grpc")]
    Grpc,
}

impl Format {
    /// The format that the client understands, judged by the headers of its request.
    pub(crate) fn of(headers: &HeaderMap) -> Self {
        #[cfg(feature = "grpc")]
        if self::grpc::is_grpc(headers) {
            return Self::Grpc;
        }
        #[cfg(not(feature = "grpc"))]
        let _ = headers;
        Self::Problem
    }

    /// Makes a response from a rejection.
    pub(crate) fn respond(self, rejection: &LockRejection) -> Response<Bytes> {
        match self {
            Self::Problem => problem(rejection),
            #[cfg(feature = "grpc")]
            Self::Grpc => grpc(rejection),
        }
    }

    /// Whether the client understands a response that the key has returned.
    pub(crate) fn understands(self, response: &Response<Bytes>) -> bool {
        match self {
            Self::Problem => {
                let _ = response;
                true
            }
            #[cfg(feature = "grpc")]
            Self::Grpc => self::grpc::is_grpc(response.headers()),
        }
    }
}
