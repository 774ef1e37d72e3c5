//! Answers in the form of gRPC, for whichever gRPC library is inside.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header::CONTENT_TYPE};
use percent_encoding::{AsciiSet, CONTROLS, percent_encode};

use crate::{LockRejection, LockRejectionReason as Reason};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");
const PUSHBACK: HeaderName = HeaderName::from_static("grpc-retry-pushback-ms");

/// What a `grpc-message` has encoded: all but printable ASCII, and the percent sign itself.
const ENCODED: &AsciiSet = &CONTROLS.add(b'%');

/// Whether a request is one of gRPC: `application/grpc`, or that with a codec, such as
/// `application/grpc+proto`. (gRPC-Web has another form of answers.)
pub(crate) fn is_spoken(headers: &HeaderMap) -> bool {
    let content_type = headers.get(CONTENT_TYPE).map(HeaderValue::as_bytes);
    let rest = content_type.and_then(|of| {
        let (start, rest) = of.split_at_checked("application/grpc".len())?;
        start
            .eq_ignore_ascii_case(b"application/grpc")
            .then_some(rest)
    });
    rest.is_some_and(|rest| matches!(rest.first(), None | Some(b'+' | b';')))
}

/// The number of the status code.
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
        Reason::Taken | Reason::TimedOut | Reason::TooManyWaiting => ABORTED,
        Reason::Unavailable => UNAVAILABLE,
        Reason::BadRequest => match rejection.status() {
            StatusCode::UNAUTHORIZED => UNAUTHENTICATED,
            StatusCode::FORBIDDEN => PERMISSION_DENIED,
            StatusCode::NOT_FOUND => NOT_FOUND,
            StatusCode::PAYLOAD_TOO_LARGE | StatusCode::TOO_MANY_REQUESTS => RESOURCE_EXHAUSTED,
            _ => INVALID_ARGUMENT,
        },
        Reason::Misconfigured => INTERNAL,
        Reason::Lost => UNKNOWN,
    }
}

impl LockRejection {
    /// The response to a gRPC request (feature `grpc`): status 200, no body, and the rest in headers
    /// that stand for trailers.
    ///
    /// The layer answers so by itself where a request's `content-type` is `application/grpc`, unless
    /// [`with_response`](crate::RedlockLayer::with_response) says otherwise.
    ///
    /// | reason | `grpc-status` | `grpc-retry-pushback-ms` |
    /// |---|---|---|
    /// | contention | `ABORTED` | when to try again |
    /// | [`Unavailable`](Reason::Unavailable) | `UNAVAILABLE` | when to try again |
    /// | [`BadRequest`](Reason::BadRequest) | `INVALID_ARGUMENT`, or as the key's status says | -1 |
    /// | [`Misconfigured`](Reason::Misconfigured) | `INTERNAL` | -1 |
    /// | [`Lost`](Reason::Lost) | `UNKNOWN` | -1 |
    ///
    /// A lock that was lost is not `ABORTED`, which invites the client to try once more: what the
    /// handler has done is unknown. The pushback is what gRPC has for `Retry-After`: a client
    /// *whose retry policy names the status* waits for so long before it tries again, and does not
    /// try again at -1. Others take no notice of it.
    ///
    /// A key's status of 401 is `UNAUTHENTICATED`, 403 `PERMISSION_DENIED`, 404 `NOT_FOUND`, 413
    /// and 429 `RESOURCE_EXHAUSTED`.
    #[must_use]
    pub fn to_grpc_response(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::new());
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(STATUS, u16::from(code(self)).into());
        let message = percent_encode(self.to_string().as_bytes(), ENCODED).to_string();
        let message = HeaderValue::try_from(message).expect("visible ASCII");
        headers.insert(MESSAGE, message);
        let pushback = match self.retry_after() {
            // Beyond this a client takes it for malformed, which means -1.
            Some(after) => after.as_millis().min(i32::MAX as u128) as i32,
            None => -1,
        };
        headers.insert(PUSHBACK, pushback.into());
        response
    }
}

#[cfg(test)]
mod tests {
    use redsync::LockError;

    use super::*;
    use crate::KeyError;

    fn answer(rejection: impl Into<LockRejection>) -> [String; 3] {
        let response = rejection.into().to_grpc_response();
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(response.headers()[CONTENT_TYPE], "application/grpc");
        assert!(response.headers().get(http::header::RETRY_AFTER).is_none());
        assert!(response.body().is_empty());
        [STATUS, MESSAGE, PUSHBACK].map(|name| response.headers()[name].to_str().unwrap().into())
    }

    #[test]
    fn keys_that_refuse_have_the_code_of_their_status() {
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
        let words = "the tenant `ä` is 100% wrong\n";
        let [_, message, _] = answer(KeyError::BadRequest(words.into()));
        assert_eq!(message, "the tenant `%C3%A4` is 100%25 wrong%0A");
    }

    #[test]
    fn mistakes_and_losses_are_not_to_be_tried_again() {
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
    fn grpc_is_known_by_its_content_type() {
        let spoken = |content_type| {
            let content_type = HeaderValue::from_static(content_type);
            is_spoken(&HeaderMap::from_iter([(CONTENT_TYPE, content_type)]))
        };
        for grpc in [
            "application/grpc",
            "application/grpc+proto",
            "Application/gRPC;a=b",
        ] {
            assert!(spoken(grpc), "{grpc}");
        }
        for other in [
            "",
            "application/grpc-web",
            "application/grpcx",
            "application/json",
        ] {
            assert!(!spoken(other), "{other}");
        }
        assert!(!is_spoken(&HeaderMap::new()));
    }
}
