//! Problem details in JSON (RFC 9457), the default format.

use bytes::Bytes;
use http::{HeaderValue, Response, header};
use serde_json::json;

use crate::rejection::LockRejection;

/// Makes a problem details response (RFC 9457): the status, `Retry-After` in seconds, and a body of
/// type `application/problem+json`.
///
/// The body has the members `type`, `title`, `status` and `detail`, and `retry_after` in seconds if
/// the response has `Retry-After`. It names neither the lock nor the nodes.
///
/// ```
/// use redsync_tower::{LockRejection, key::KeyError, response};
///
/// let rejection = LockRejection::from(KeyError::BadRequest("the body is not JSON".into()));
/// let response = response::problem(&rejection);
/// assert_eq!(response.status(), 400);
///
/// let problem: serde_json::Value = serde_json::from_slice(response.body())?;
/// assert_eq!(problem["type"], "urn:redsync:problem:bad-request");
/// assert_eq!(problem["detail"], "the body is not JSON");
/// # Ok::<_, serde_json::Error>(())
/// ```
#[must_use]
pub fn problem(rejection: &LockRejection) -> Response<Bytes> {
    let mut problem = json!({
        "type": rejection.problem_type(),
        "title": rejection.reason().title(),
        "status": rejection.status().as_u16(),
        "detail": rejection.detail(),
    });
    if let Some(after) = rejection.retry_after() {
        problem["retry_after"] = after.as_secs().into();
    }
    let mut response = Response::new(problem.to_string().into());
    *response.status_mut() = rejection.status();
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/problem+json"),
    );
    if let Some(after) = rejection.retry_after() {
        headers.insert(header::RETRY_AFTER, after.as_secs().into());
    }
    response
}

#[cfg(feature = "axum")]
impl axum::response::IntoResponse for LockRejection {
    fn into_response(mut self) -> axum::response::Response {
        let whole = self.take_response();
        let mut response = whole.unwrap_or_else(|| problem(&self));
        response.extensions_mut().insert(self);
        response.map(axum::body::Body::from)
    }
}
