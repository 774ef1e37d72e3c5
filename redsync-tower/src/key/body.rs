//! Keys from the request body.

use std::{any::type_name, fmt, future::Future, pin::Pin};

use bytes::Bytes;
use http::{Request, request::Parts};
use http_body::Body;

use super::{
    Key, KeyOutput,
    lock_key::IntoLockKey,
    read::{BoxError, Read},
};

/// Takes the key from the request body, which is buffered before anything is locked.
///
/// The inner service gets the same body, but without trailers.
///
/// ```
/// use http::request::Parts;
/// use redsync::Redsync;
/// use redsync_tower::{
///     RedlockLayer,
///     key::{self, KeyError},
/// };
///
/// let key = key::body(16 * 1024, |_: &Parts, body: &[u8]| {
///     let transfer: serde_json::Value = serde_json::from_slice(body)
///         .map_err(|_| KeyError::BadRequest("the body is not JSON".into()))?;
///     Ok(format!("account:{}", transfer["from"]))
/// });
/// let layer = RedlockLayer::new(Redsync::in_memory(3), key);
/// ```
///
/// A body of more than `limit` bytes is answered with 413, and a body that cannot be read with 400.
/// The future is boxed. To read the body first for another key, see
/// [`with_body_first`](crate::RedlockLayer::with_body_first).
///
/// The type of the body has to implement [`From<Bytes>`](Bytes), as axum's `Body` and `Full<Bytes>`
/// do. tonic's does not: for a gRPC service, use [`from_fn`](super::from_fn), as the example `grpc`
/// in the repository does. (There, five bytes come before the message.)
pub const fn body<F, R>(limit: usize, function: F) -> BodyKey<F>
where
    F: Fn(&Parts, &[u8]) -> R + Clone + Send + 'static,
    R: IntoLockKey,
{
    BodyKey { limit, function }
}

/// A key from the request body. See [`body`].
#[derive(Clone)]
pub struct BodyKey<F> {
    limit: usize,
    function: F,
}

impl<F, R, B> Key<B> for BodyKey<F>
where
    F: Fn(&Parts, &[u8]) -> R + Clone + Send + 'static,
    R: IntoLockKey,
    B: Body<Data = Bytes, Error: Into<BoxError>> + From<Bytes> + Send + 'static,
{
    type Future = Pin<Box<dyn Future<Output = KeyOutput<B>> + Send>>;

    fn key(&self, request: Request<B>) -> Self::Future {
        let Self { limit, function } = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let body = match Read::new(body, limit) {
                Ok(body) => body.await,
                Err(error) => Err(error),
            };
            match body {
                Ok(body) => {
                    let body = body.into_data();
                    let key = function(&parts, &body).into_lock_key();
                    (Request::from_parts(parts, body.into()), key)
                }
                Err(error) => (Request::from_parts(parts, Bytes::new().into()), Err(error)),
            }
        })
    }
}

impl<F> fmt::Debug for BodyKey<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyKey")
            .field("limit", &self.limit)
            .field("function", &format_args!("{}", type_name::<F>()))
            .finish()
    }
}
