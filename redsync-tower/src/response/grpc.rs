//! gRPC responses, for any gRPC library.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use crate::rejection::{LockRejection, LockRejectionReason as Reason};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// The characters that a `grpc-message` percent-encodes: `%`, and everything but printable ASCII.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// Makes a gRPC response: status 200, no body, and the outcome in headers, as gRPC allows for a
/// response without messages ("Trailers-Only").
///
/// A layer does this by itself for requests with the content type `application/grpc`, unless it has
/// [a response function](crate::RedlockLayer::with_response) of its own. gRPC-Web, which has
/// another format, is not recognized.
///
/// | reason | `grpc-status` | `grpc-retry-pushback-ms` |
/// |---|---|---|
/// | contention | `ABORTED` | [`retry_after`](LockRejection::retry_after) |
/// | [`Unavailable`](Reason::Unavailable), [`TooLate`](Reason::TooLate), [`ShuttingDown`](Reason::ShuttingDown) | `UNAVAILABLE` | `retry_after` |
/// | [`BadRequest`](Reason::BadRequest) | `INVALID_ARGUMENT`, unless the key returned a status (see below) | -1 |
/// | [`TooLarge`](Reason::TooLarge) | `RESOURCE_EXHAUSTED` | -1 |
/// | [`Misconfigured`](Reason::Misconfigured) | `INTERNAL` | -1 |
/// | [`Lost`](Reason::Lost) | `UNKNOWN` | -1 |
///
/// If the key returned [status](crate::key::KeyError::Rejected) 401, or a
/// [response](crate::key::KeyError::Response) with it, the gRPC status is
/// `UNAUTHENTICATED`; for 403 it is `PERMISSION_DENIED`, for 404 `NOT_FOUND`, and for 413 and 429
/// `RESOURCE_EXHAUSTED`.
///
/// A lost lock is not `ABORTED`, because that status invites the client to repeat the call, and the
/// call may have been carried out in part.
///
/// The pushback corresponds to `Retry-After`. A client whose retry policy lists the status waits
/// for that number of milliseconds before it repeats the call. If the number is -1, it does not
/// repeat the call. Other clients ignore the header.
///
/// # Keys for gRPC
///
/// All gRPC requests are POST requests, so all of them lock; and their paths have no parameters, so
/// [`key::path`](crate::key::path) does not work. Take the key from the metadata, which are
/// headers:
///
/// ```
/// # use http::Request;
/// # use redsync::Redsync;
/// # use redsync_tower::{RedlockLayer, key::KeyError};
/// # let redsync = Redsync::in_memory(3);
/// let lock = RedlockLayer::new(redsync, |request: &Request<_>| {
///     // Calls that only read need no lock.
///     if request.uri().path().starts_with("/shop.Orders/Get") {
///         return Ok(None);
///     }
///     let order = request.headers().get("order-id").and_then(|id| id.to_str().ok());
///     match order {
///         Some(id) => Ok(Some(format!("order:{id}"))),
///         None => Err(KeyError::BadRequest("the metadata have no `order-id`".into())),
///     }
/// });
/// // tonic::transport::Server::builder().layer(lock).add_service(orders)
/// # async fn handle(_: Request<()>) -> Result<http::Response<http_body_util::Empty<bytes::Bytes>>, std::convert::Infallible> {
/// #     Ok(http::Response::default())
/// # }
/// # use tower::{Layer, Service};
/// # drop(lock.layer(tower::service_fn(handle)).call(Request::new(())));
/// ```
///
/// The inner service has answered when its response begins. To hold the lock until the end of a
/// streaming response, including the status in its trailers, use
/// [`HoldUntil::BodyEnd`](crate::HoldUntil::BodyEnd). In a handler, [`HeldLock`](crate::HeldLock)
/// is in the request's extensions.
#[must_use]
pub fn grpc(rejection: &LockRejection) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(STATUS, u16::from(code(rejection)).into());
    let message = percent_encode(rejection.detail().as_bytes(), ENCODED).to_string();
    let message = HeaderValue::try_from(message).expect("visible ASCII");
    headers.insert(MESSAGE, message);
    let pushback = match rejection.retry_after() {
        // Clients read the value as an `i32`, and treat a larger one like -1.
        Some(after) => after.as_millis().min(i32::MAX as u128) as i32,
        None => -1,
    };
    headers.insert(PUSHBACK, pushback.into());
    response
}

/// Whether these are the headers of a gRPC request or response: the content type is
/// `application/grpc`, or that with a codec, such as `application/grpc+proto`.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let suffix = content_type.and_then(|content_type| {
        let (start, suffix) = content_type.split_at_checked("application/grpc".len())?;
        start
            .eq_ignore_ascii_case(b"application/grpc")
            .then_some(suffix)
    });
    suffix.is_some_and(|suffix| matches!(suffix.first(), None | Some(b'+' | b';')))
}

/// The number of the gRPC status.
const fn code(rejection: &LockRejection) -> u8 {
    const UNKNOWN: u8 = 2;
    const INVALID_ARGUMENT: u8 = 3;
    const NOT_FOUND: u8 = 5;
    const PERMISSION_DENIED: u8 = 7;
    const RESOURCE_EXHAUSTED: u8 = 8;
    const ABORTED: u8 = 10;
    const INTERNAL: u8 = 13;
    const UNAVAILABLE: u8 = 14;
    const UNAUTHENTICATED: u8 = 16;
    match rejection.reason() {
        reason if reason.is_contention() => ABORTED,
        reason if reason.is_transient() => UNAVAILABLE,
        Reason::BadRequest => match rejection.status() {
            StatusCode::UNAUTHORIZED => UNAUTHENTICATED,
            StatusCode::FORBIDDEN => PERMISSION_DENIED,
            StatusCode::NOT_FOUND => NOT_FOUND,
            StatusCode::TOO_MANY_REQUESTS => RESOURCE_EXHAUSTED,
            _ => INVALID_ARGUMENT,
        },
        Reason::TooLarge => RESOURCE_EXHAUSTED,
        Reason::Misconfigured => INTERNAL,
        _ => UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use redsync::LockError;

    use super::*;
    use crate::key::KeyError;

    fn answer(rejection: impl Into<LockRejection>) -> [String; 3] {
        let response = grpc(&rejection.into());
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc");
        assert!(response.headers().get(http::header::RETRY_AFTER).is_none());
        assert!(response.body().is_empty());
        [STATUS, MESSAGE, PUSHBACK].map(|name| response.headers()[name].to_str().unwrap().into())
    }

    #[test]
    fn a_status_of_the_key_has_its_grpc_status() {
        for (status, code) in [
            (400, "3"),
            (401, "16"),
            (403, "7"),
            (404, "5"),
            (413, "8"),
            (418, "3"),
            (429, "8"),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            let [is, message, pushback] = answer(KeyError::Rejected(status, "no".into()));
            assert_eq!((&*is, &*message, &*pushback), (code, "no", "-1"));
        }
    }

    #[test]
    fn a_message_is_printable_ascii() {
        let detail = "the tenant `ä` is 100% wrong\n";
        let [_, message, _] = answer(KeyError::BadRequest(detail.into()));
        assert_eq!(message, "the tenant `%C3%A4` is 100%25 wrong%0A");
    }

    #[test]
    fn misconfigured_and_lost_tell_clients_not_to_retry() {
        let [code, _, pushback] = answer(KeyError::Misconfigured("secret".into()));
        assert_eq!((&*code, &*pushback), ("13", "-1"));
        let [code, _, pushback] = answer(LockError::Value("none".into()));
        assert_eq!((&*code, &*pushback), ("13", "-1"));
        let [code, _, pushback] = answer(LockRejection::lost());
        assert_eq!((&*code, &*pushback), ("2", "-1"));
        let [code, _, pushback] = answer(LockRejection::too_many_waiting());
        assert_eq!((&*code, &*pushback), ("10", "1000"));
    }

    #[test]
    fn grpc_is_recognized_by_its_content_type() {
        let accepted = |content_type| {
            let content_type = HeaderValue::from_static(content_type);
            is_grpc(&HeaderMap::from_iter([(CONTENT_TYPE, content_type)]))
        };
        for content_type in [
            "application/grpc",
            "application/grpc+proto",
            "Application/gRPC;a=b",
        ] {
            assert!(accepted(content_type), "{content_type}");
        }
        for other in [
            "",
            "application/grpc-web",
            "application/grpcx",
            "application/json",
        ] {
            assert!(!accepted(other), "{other}");
        }
        assert!(!is_grpc(&HeaderMap::new()));
    }
}
