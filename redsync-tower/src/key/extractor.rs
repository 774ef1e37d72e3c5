//! Keys from an axum extractor.

use std::{any::type_name, fmt, future::Future, marker::PhantomData, pin::Pin};

use axum::{extract::FromRequestParts, response::IntoResponse};
use http::Request;

use super::{Key, KeyOutput, error::KeyError, lock_key::IntoLockKey};

/// Takes the key from an axum extractor. A tuple of extractors is an extractor too.
///
/// In contrast to [`path`](super::path), the value is parsed: `/orders/42` and `/orders/042` have
/// one name.
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
/// If the extractor rejects the request, the response has the status of that rejection, but neither
/// its headers nor its body. The handler's own extractors run once more. The future is boxed.
pub const fn from_extractor<E, F, R>(function: F) -> ExtractorKey<E, F>
where
    E: FromRequestParts<()> + Send + 'static,
    F: Fn(E) -> R + Clone + Send + 'static,
    R: IntoLockKey,
{
    ExtractorKey {
        function,
        extractor: PhantomData,
    }
}

/// A key from an axum extractor. See [`from_extractor`].
pub struct ExtractorKey<E, F> {
    function: F,
    extractor: PhantomData<fn(E)>,
}

impl<E, F, R, B> Key<B> for ExtractorKey<E, F>
where
    E: FromRequestParts<()> + Send + 'static,
    F: Fn(E) -> R + Clone + Send + 'static,
    R: IntoLockKey,
    B: Send + 'static,
{
    type Future = Pin<Box<dyn Future<Output = KeyOutput<B>> + Send>>;

    fn key(&self, request: Request<B>) -> Self::Future {
        let function = self.function.clone();
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let key = match E::from_request_parts(&mut parts, &()).await {
                Ok(extracted) => function(extracted).into_lock_key(),
                Err(rejection) => {
                    let status = rejection.into_response().status();
                    Err(KeyError::Rejected(
                        status,
                        "The request names no lock.".into(),
                    ))
                }
            };
            (Request::from_parts(parts, body), key)
        })
    }
}

impl<E, F: Clone> Clone for ExtractorKey<E, F> {
    fn clone(&self) -> Self {
        Self {
            function: self.function.clone(),
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
