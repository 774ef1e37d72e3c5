use std::{any::type_name, error::Error, fmt, future::Future, pin::Pin};

use bytes::Bytes;
use http::{Request, StatusCode, request::Parts};
use http_body::Body;
use http_body_util::{BodyExt, LengthLimitError, Limited};

use super::{Found, IntoLockKey, Key, KeyError};

/// Locks by what is in the body. It is read whole, before anything is locked, and the inner service
/// gets it as it was, but for its trailers.
///
/// ```
/// use http::request::Parts;
/// use redsync::Redsync;
/// use redsync_tower::{KeyError, RedlockLayer, key};
///
/// let key = key::body(16 * 1024, |_: &Parts, body: &[u8]| {
///     let transfer: serde_json::Value = serde_json::from_slice(body)
///         .map_err(|_| KeyError::BadRequest("the body is not JSON".into()))?;
///     Ok(format!("account:{}", transfer["from"]))
/// });
/// let layer = RedlockLayer::new(Redsync::in_memory(3), key);
/// ```
///
/// A body of more than `limit` bytes is answered with 413, one that cannot be read with 400. The
/// future is boxed.
pub const fn body<F, R>(limit: usize, key: F) -> BodyKey<F>
where
    F: Fn(&Parts, &[u8]) -> R + Clone + Send + 'static,
    R: IntoLockKey,
{
    BodyKey { limit, key }
}

/// A key from the body; see [`body`].
#[derive(Clone)]
pub struct BodyKey<F> {
    limit: usize,
    key: F,
}

impl<F, R, B> Key<B> for BodyKey<F>
where
    F: Fn(&Parts, &[u8]) -> R + Clone + Send + 'static,
    R: IntoLockKey,
    B: Body<Data = Bytes, Error: Into<Box<dyn Error + Send + Sync>>> + From<Bytes> + Send + 'static,
{
    type Future = Pin<Box<dyn Future<Output = Found<B>> + Send>>;

    fn key(&self, request: Request<B>) -> Self::Future {
        let Self { limit, key } = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            match Limited::new(body, limit).collect().await {
                Ok(body) => {
                    let body = body.to_bytes();
                    let key = key(&parts, &body).into_lock_key();
                    (Request::from_parts(parts, body.into()), key)
                }
                Err(error) => {
                    let error = if is_too_long(&*error) {
                        let words = "the body is too large";
                        KeyError::Rejected(StatusCode::PAYLOAD_TOO_LARGE, words.into())
                    } else {
                        KeyError::BadRequest("the body cannot be read".into())
                    };
                    (Request::from_parts(parts, Bytes::new().into()), Err(error))
                }
            }
        })
    }
}

/// Whether this limit was reached, or one that a layer outside has set.
fn is_too_long(error: &(dyn Error + 'static)) -> bool {
    error.is::<LengthLimitError>() || error.source().is_some_and(is_too_long)
}

impl<F> fmt::Debug for BodyKey<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyKey")
            .field("limit", &self.limit)
            .field("key", &format_args!("{}", type_name::<F>()))
            .finish()
    }
}
