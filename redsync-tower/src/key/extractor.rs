use std::{any::type_name, fmt, marker::PhantomData};

use axum::{extract::FromRequestParts, response::IntoResponse};
use futures_util::future::{BoxFuture, FutureExt};
use http::Request;

use super::{Found, IntoLockKey, Key, KeyError};

/// Locks by what an axum extractor finds: typed, so that two spellings of one number are one key. A
/// tuple of extractors is an extractor.
///
/// ```
/// use axum::extract::Path;
/// use redsync::Redsync;
/// use redsync_tower::{RedlockLayer, key};
///
/// let key = key::from_extractor(|Path(id): Path<u64>| format!("order:{id}"));
/// let layer = RedlockLayer::new(Redsync::in_memory(3), key);
/// ```
///
/// A request that the extractor rejects is answered with the status of its rejection, though not with
/// its headers and body. The extractor is run once more for the handler. Its future is boxed.
pub const fn from_extractor<E, F, R>(key: F) -> ExtractorKey<E, F>
where
    E: FromRequestParts<()> + Send + 'static,
    F: Fn(E) -> R + Clone + Send + 'static,
    R: IntoLockKey,
{
    ExtractorKey {
        key,
        extractor: PhantomData,
    }
}

/// A key from an extractor; see [`from_extractor`].
pub struct ExtractorKey<E, F> {
    key: F,
    extractor: PhantomData<fn(E)>,
}

impl<E, F, R, B> Key<B> for ExtractorKey<E, F>
where
    E: FromRequestParts<()> + Send + 'static,
    F: Fn(E) -> R + Clone + Send + 'static,
    R: IntoLockKey,
    B: Send + 'static,
{
    type Future = BoxFuture<'static, Found<B>>;

    fn key(&self, request: Request<B>) -> Self::Future {
        let key = self.key.clone();
        async move {
            let (mut parts, body) = request.into_parts();
            let key = match E::from_request_parts(&mut parts, &()).await {
                Ok(extracted) => key(extracted).into_lock_key(),
                Err(rejection) => {
                    let status = rejection.into_response().status();
                    Err(KeyError::Rejected(
                        status,
                        "The request names no lock.".into(),
                    ))
                }
            };
            (Request::from_parts(parts, body), key)
        }
        .boxed()
    }
}

impl<E, F: Clone> Clone for ExtractorKey<E, F> {
    fn clone(&self) -> Self {
        Self {
            key: self.key.clone(),
            extractor: PhantomData,
        }
    }
}

impl<E, F> fmt::Debug for ExtractorKey<E, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExtractorKey")
            .field(&format_args!("{}", type_name::<E>()))
            .finish()
    }
}
