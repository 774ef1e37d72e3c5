//! How the layer answers a request that it refuses.

use std::{fmt, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Response, StatusCode};

use crate::{rejection::LockRejection, response::Format};

/// The options that change the layer's own responses.
#[derive(Clone, Default)]
pub(crate) struct Responses {
    pub(crate) contention_status: Option<StatusCode>,
    pub(crate) retry_after: Option<Duration>,
    /// The minimum hold of the layer: a key stays for that long, however short the hold.
    pub(crate) min_hold: Duration,
    pub(crate) problem_types: Option<Arc<str>>,
    pub(crate) response: Option<Arc<dyn Fn(&LockRejection) -> Response<Bytes> + Send + Sync>>,
}

impl Responses {
    /// Completes a rejection. `usual_hold` is how long locks of the layer are usually held.
    pub(crate) fn complete(&self, rejection: &mut LockRejection, usual_hold: Duration) {
        if let Some(status) = self.contention_status {
            rejection.set_contention_status(status);
        }
        match self.retry_after {
            Some(after) => rejection.set_retry_after(after),
            None => rejection.expect_hold(usual_hold.max(self.min_hold)),
        }
        rejection.set_problem_types(self.problem_types.as_ref());
    }

    /// The response to a request that is refused, with the rejection in its extensions.
    pub(crate) fn respond(&self, mut rejection: LockRejection, format: Format) -> Response<Bytes> {
        let whole = rejection.take_response();
        let whole = whole.filter(|whole| format.understands(whole));
        let mut response = match (whole, &self.response) {
            (Some(whole), _) => whole,
            (None, Some(response)) => response(&rejection),
            (None, None) => format.respond(&rejection),
        };
        response.extensions_mut().insert(rejection);
        response
    }
}

impl fmt::Debug for Responses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Responses")
            .field("contention_status", &self.contention_status)
            .field("retry_after", &self.retry_after)
            .field("min_hold", &self.min_hold)
            .field("problem_types", &self.problem_types)
            .finish_non_exhaustive()
    }
}
