//! Keys from an axum extractor.

use std::{any::type_name, fmt, future::Future, marker::PhantomData, pin::Pin};

use axum::{
    extract::FromRequestParts,
    response::{IntoResponse, Response},
};
use http::Request;
use http_body_util::BodyExt;

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
/// If the extractor rejects the request, the client gets that rejection as it is: status, headers
/// and body. (See [`KeyError::Response`]. If the body is a stream, it is read to its end first.)
///
/// The handler's own extractors run once more. The future is boxed. An extractor that needs the
/// application's state is for [`from_extractor_with_state`].
pub const fn from_extractor<E, F, R>(function: F) -> ExtractorKey<E, F>
where
    E: FromRequestParts<()> + Send + 'static,
    F: Fn(E) -> R + Clone + Send + 'static,
    R: IntoLockKey,
{
    from_extractor_with_state((), function)
}

/// Takes the key from an axum extractor that needs the application's state, such as one that looks
/// up the session of the request. See [`from_extractor`].
///
/// ```
/// use axum::{
///     Router,
///     extract::FromRequestParts,
///     http::{StatusCode, request::Parts},
///     routing::post,
/// };
/// use redsync::Redsync;
/// use redsync_tower::{RedlockLayer, key};
///
/// #[derive(Clone)]
/// struct App {
///     // ... a pool of database connections ...
/// }
///
/// struct User(u64);
///
/// impl FromRequestParts<App> for User {
///     type Rejection = (StatusCode, [(&'static str, &'static str); 1]);
///
///     async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, Self::Rejection> {
///         // ... look up the session in the database of `app` ...
///         # let _ = (parts, app);
///         Err((StatusCode::UNAUTHORIZED, [("www-authenticate", "Bearer")]))
///     }
/// }
///
/// let app = App {};
/// let key = key::from_extractor_with_state(app.clone(), |User(id): User| format!("user:{id}"));
/// let lock = RedlockLayer::new(Redsync::in_memory(3), key);
///
/// let router: Router = Router::new()
///     .route("/profile", post(async || "changed").route_layer(lock))
///     .with_state(app);
/// ```
///
/// The state is cloned for each request.
pub const fn from_extractor_with_state<E, F, R, S>(state: S, function: F) -> ExtractorKey<E, F, S>
where
    E: FromRequestParts<S> + Send + 'static,
    F: Fn(E) -> R + Clone + Send + 'static,
    R: IntoLockKey,
    S: Clone + Send + Sync + 'static,
{
    ExtractorKey {
        state,
        function,
        extractor: PhantomData,
    }
}

/// A key from an axum extractor. See [`from_extractor`] and [`from_extractor_with_state`].
pub struct ExtractorKey<E, F, S = ()> {
    state: S,
    function: F,
    extractor: PhantomData<fn(E)>,
}

impl<E, F, R, S, B> Key<B> for ExtractorKey<E, F, S>
where
    E: FromRequestParts<S> + Send + 'static,
    F: Fn(E) -> R + Clone + Send + 'static,
    R: IntoLockKey,
    S: Clone + Send + Sync + 'static,
    B: Send + 'static,
{
    type Future = Pin<Box<dyn Future<Output = KeyOutput<B>> + Send>>;

    fn key(&self, request: Request<B>) -> Self::Future {
        let (state, function) = (self.state.clone(), self.function.clone());
        Box::pin(async move {
            let (mut parts, body) = request.into_parts();
            let extracted = E::from_request_parts(&mut parts, &state).await;
            let key = match extracted.map_err(IntoResponse::into_response) {
                Ok(extracted) => function(extracted).into_lock_key(),
                Err(response) => Err(rejected(response).await),
            };
            (Request::from_parts(parts, body), key)
        })
    }
}

/// Reads the body of a rejection, so that it can be in a [`KeyError`], which is shared and cloned.
async fn rejected(rejection: Response) -> KeyError {
    let (parts, body) = rejection.into_parts();
    match body.collect().await {
        Ok(body) => Response::from_parts(parts, body.to_bytes()).into(),
        Err(error) => {
            let detail = format!("the body of an extractor's rejection cannot be read: {error}");
            KeyError::Misconfigured(detail.into())
        }
    }
}

impl<E, F: Clone, S: Clone> Clone for ExtractorKey<E, F, S> {
    fn clone(&self) -> Self {
        Self {
            state: self.state.clone(),
            function: self.function.clone(),
            extractor: PhantomData,
        }
    }
}

impl<E, F, S> fmt::Debug for ExtractorKey<E, F, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExtractorKey")
            .field(&format_args!("{}", type_name::<E>()))
            .finish()
    }
}
