//! Keys from an async function.

use std::{any::type_name, fmt, future::Future};

use http::Request;

use super::{Key, KeyOutput};

/// Takes the key from an async function, which gets the whole request and has to return it.
///
/// The function may wait for other services, and may read or change any part of the request. For a
/// key that needs neither, a [closure](super#closures) is shorter.
///
/// ```
/// use http::Request;
/// use redsync::Redsync;
/// use redsync_tower::{
///     RedlockLayer,
///     key::{self, LockKey},
/// };
///
/// async fn account_of(session: &str) -> u64 {
///     // ... query a database ...
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
///
/// # Cancel safety
///
/// The function's future is dropped if the request is dropped. No lock is held at that time.
pub const fn from_fn<F>(function: F) -> FnKey<F> {
    FnKey { function }
}

/// A key from an async function. See [`from_fn`].
#[derive(Clone)]
pub struct FnKey<F> {
    function: F,
}

impl<F, Fut, B> Key<B> for FnKey<F>
where
    F: Fn(Request<B>) -> Fut,
    Fut: Future<Output = KeyOutput<B>>,
{
    type Future = Fut;

    fn key(&self, request: Request<B>) -> Self::Future {
        (self.function)(request)
    }
}

impl<F> fmt::Debug for FnKey<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("FnKey")
            .field(&format_args!("{}", type_name::<F>()))
            .finish()
    }
}
