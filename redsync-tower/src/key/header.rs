//! Keys from a header.

use std::future::{Ready, ready};

use http::{HeaderMap, HeaderName, Request};

use super::{Key, KeyOutput, error::KeyError, lock_key::LockKey};

/// Takes the key from a header that each request must have exactly once. The name is
/// `header-name:value`.
///
/// A request is answered with 400 if it has no such header, or more than one, or if the value is
/// empty or has a character that is not visible ASCII, such as a blank.
///
/// ```
/// use redsync::Redsync;
/// use redsync_tower::{RedlockLayer, key};
///
/// let layer = RedlockLayer::new(Redsync::in_memory(3), key::header("device-id"));
/// ```
///
/// **A lock on `Idempotency-Key` does not make requests idempotent.** It keeps two requests with
/// one key from running at the same time; a second that comes later is carried out again. The
/// [module docs](super#idempotency-keys) say what else is needed.
///
/// The value is the client's choice, so two clients that choose the same value exclude each other.
/// The [module docs](super#client-supplied-headers) show how to add the authenticated principal to
/// the name.
///
/// # Panics
///
/// Panics if `name` is not a valid header name.
#[must_use]
pub fn header<N>(name: N) -> HeaderKey
where
    N: TryInto<HeaderName>,
{
    let Ok(name) = name.try_into() else {
        panic!("the key's header name is not a valid header name");
    };
    HeaderKey { name }
}

/// A key from a header. See [`header`].
#[derive(Clone, Debug)]
pub struct HeaderKey {
    name: HeaderName,
}

impl HeaderKey {
    fn find(&self, headers: &HeaderMap) -> Result<LockKey, KeyError> {
        let name = &self.name;
        let bad = |problem| KeyError::BadRequest(format!("the header `{name}` {problem}").into());
        let mut values = headers.get_all(name).iter();
        let value = values.next().ok_or_else(|| bad("is missing"))?;
        if values.next().is_some() {
            return Err(bad("occurs more than once"));
        }
        match value.to_str() {
            Ok("") => Err(bad("is empty")),
            // Blanks are not visible.
            Ok(value) if value.bytes().all(|byte| byte.is_ascii_graphic()) => {
                Ok(format!("{name}:{value}").into())
            }
            _ => Err(bad("has a value that is not visible ASCII")),
        }
    }
}

impl<B> Key<B> for HeaderKey {
    type Future = Ready<KeyOutput<B>>;

    fn key(&self, request: Request<B>) -> Self::Future {
        let key = self.find(request.headers()).map(Some);
        ready((request, key))
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn key(values: &[&[u8]]) -> Result<LockKey, KeyError> {
        let mut headers = HeaderMap::new();
        for value in values {
            let value = HeaderValue::from_bytes(value).unwrap();
            headers.append("idempotency-key", value);
        }
        header("Idempotency-Key").find(&headers)
    }

    #[test]
    fn the_name_is_the_header_name_and_its_value() {
        let expected = LockKey::from("idempotency-key:8e03");
        assert_eq!(key(&[b"8e03"]).unwrap(), expected);
    }

    #[test]
    fn a_missing_or_malformed_header_is_a_bad_request() {
        for values in [
            &[][..],
            &[&b""[..]],
            &[b"a", b"a"],
            &[b"\xff"],
            &[b"a b"],
            &[b"a\tb"],
        ] {
            assert!(
                matches!(key(values), Err(KeyError::BadRequest(_))),
                "{values:?}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "header name")]
    fn an_invalid_header_name_panics() {
        let _ = header("no header");
    }
}
