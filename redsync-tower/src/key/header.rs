use std::future::ready;

use http::{HeaderMap, HeaderName, Request};

use super::{Key, KeyError, LockKey, ReadyKey};

/// Locks by a header that every request has to carry, once: the name is `header-name:value`.
///
/// A request without it, with several, or with a value that is empty or not visible ASCII is
/// answered with 400.
///
/// ```
/// use redsync::Redsync;
/// use redsync_tower::{RedlockLayer, key};
///
/// let layer = RedlockLayer::new(Redsync::in_memory(3), key::header("idempotency-key"));
/// ```
///
/// A header is the client's to choose: two clients that choose the same value exclude each other.
/// See the [module docs](super) for how to put the principal before it.
///
/// # Panics
///
/// If `name` is no header name.
#[must_use]
pub fn header<N>(name: N) -> HeaderKey
where
    N: TryInto<HeaderName>,
{
    let Ok(name) = name.try_into() else {
        panic!("the key's header name is not a header name");
    };
    HeaderKey { name }
}

/// A key from a header; see [`header`].
#[derive(Clone, Debug)]
pub struct HeaderKey {
    name: HeaderName,
}

impl HeaderKey {
    fn find(&self, headers: &HeaderMap) -> Result<LockKey, KeyError> {
        let name = &self.name;
        let bad = |what| KeyError::BadRequest(format!("the header `{name}` {what}").into());
        let mut values = headers.get_all(name).iter();
        let value = values.next().ok_or_else(|| bad("is missing"))?;
        if values.next().is_some() {
            return Err(bad("is given more than once"));
        }
        match value.to_str() {
            Ok("") => Err(bad("is empty")),
            Ok(value) => Ok(format!("{name}:{value}").into()),
            Err(_) => Err(bad("has a value that is not visible ASCII")),
        }
    }
}

impl<B> Key<B> for HeaderKey {
    type Future = ReadyKey<B>;

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
    fn the_name_is_that_of_the_header_and_its_value() {
        let expected = LockKey::from("idempotency-key:8e03");
        assert_eq!(key(&[b"8e03"]), Ok(expected));
    }

    #[test]
    fn a_missing_or_malformed_header_is_the_clients_mistake() {
        for values in [&[][..], &[&b""[..]], &[b"a", b"a"], &[b"\xff"]] {
            assert!(
                matches!(key(values), Err(KeyError::BadRequest(_))),
                "{values:?}"
            );
        }
    }

    #[test]
    #[should_panic(expected = "header name")]
    fn what_is_no_header_name_is_refused_at_once() {
        let _ = header("no header");
    }
}
