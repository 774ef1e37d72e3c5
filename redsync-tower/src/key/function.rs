use std::{any::type_name, fmt, future::Future};

use http::Request;

use super::{Found, Key};

/// Locks by what an async function finds. It takes the request and gives it back, so that it can do
/// with it what it likes.
///
/// ```
/// use http::Request;
/// use redsync::Redsync;
/// use redsync_tower::{LockKey, RedlockLayer, key};
///
/// async fn account_of(session: &str) -> u64 {
///     // ... ask a database ...
///     # session.len() as u64
/// }
///
/// let key = key::from_fn(async |request: Request<_>| {
///     let session = request.headers().get("session").and_then(|session| session.to_str().ok());
///     let key = match session {
///         Some(session) => Some(LockKey::from(format!("account:{}", account_of(session).await))),
///         None => None,
///     };
///     (request, Ok(key))
/// });
/// let layer = RedlockLayer::new(Redsync::in_memory(3), key);
/// # async fn handle(_: Request<()>) -> Result<http::Response<http_body_util::Empty<bytes::Bytes>>, std::convert::Infallible> {
/// #     Ok(http::Response::default())
/// # }
/// # use tower::{Layer, Service};
/// # drop(layer.layer(tower::service_fn(handle)).call(Request::new(())));
/// ```
pub const fn from_fn<F>(key: F) -> FnKey<F> {
    FnKey { key }
}

/// A key from an async function; see [`from_fn`].
#[derive(Clone)]
pub struct FnKey<F> {
    key: F,
}

impl<F, Fut, B> Key<B> for FnKey<F>
where
    F: Fn(Request<B>) -> Fut,
    Fut: Future<Output = Found<B>>,
{
    type Future = Fut;

    fn key(&self, request: Request<B>) -> Self::Future {
        (self.key)(request)
    }
}

impl<F> fmt::Debug for FnKey<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FnKey")
            .field(&format_args!("{}", type_name::<F>()))
            .finish()
    }
}
