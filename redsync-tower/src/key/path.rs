//! Keys from parameters of the matched path.

mod template;

use std::{
    future::{Future, Ready, ready},
    mem,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll, Waker},
};

use axum::extract::{FromRequestParts, MatchedPath, RawPathParams};
use http::Request;
use redsync::Printable;

use self::template::{Template, parameters};
use super::{Key, KeyOutput, error::KeyError, lock_key::LockKey};

/// Takes the key from parameters of the matched path. Each `{name}` in the template stands for the
/// value of that parameter.
///
/// A wildcard, `{*name}` in the route, is `{name}` in the template.
///
/// ```
/// use redsync::Redsync;
/// use redsync_tower::{RedlockLayer, key};
///
/// // For the route `/tenants/{tenant}/orders/{id}`.
/// let key = key::path("tenant:{tenant}:order:{id}");
/// let layer = RedlockLayer::new(Redsync::in_memory(3), key);
/// ```
///
/// Values are percent-decoded first. Then everything but letters, digits and `-._~` is
/// percent-encoded: `/orders/1` and `/orders/%31` have one name, and a `:` in a value cannot be
/// mistaken for the `:` of the template. So two requests have the same name only if all their
/// values are equal. Code that locks by hand gets the same name from [`PathKey::name`].
///
/// **Values are compared as text.** `/orders/42`, `/orders/042` and `/orders/+42` are three names,
/// although a handler with `Path<u64>` reads the number 42 from each. If the handler has a typed
/// path, take the key from the same extractor: see [`from_extractor`](super::from_extractor).
///
/// A value that is not UTF-8 is answered with 400. A route that has no such parameter, or has
/// several with that name, is a mistake in the program: the response has status 500, and an error
/// event contains the method, the route and the template. [`for_route`](PathKey::for_route) finds
/// it before the first request.
///
/// A request that no route of the router matches, which `Router::layer` sees and `route_layer` does
/// not, passes without a lock. The first one of a key causes a warning event, because a fallback
/// that should lock needs another key.
///
/// # Panics
///
/// Panics if the template is empty, has an unmatched brace or a parameter without a name, or if two
/// parameters have nothing but letters, digits and `-._~%` between them, which would make different
/// values indistinguishable.
#[must_use]
pub fn path(template: &str) -> PathKey {
    match Template::parse(template) {
        Ok(template) => PathKey(Arc::new(Shared {
            template,
            has_passed_unmatched: AtomicBool::new(false),
        })),
        Err(why) => panic!("the key template `{template}` {why}"),
    }
}

/// A key from parameters of the matched path. See [`path`].
// Cheap to clone, since routers clone their services for each request.
#[derive(Clone, Debug)]
pub struct PathKey(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    template: Template,
    /// Whether a request that matched no route has been reported.
    has_passed_unmatched: AtomicBool,
}

impl PathKey {
    /// Makes the key of a request with these values of the parameters, for code that locks by hand
    /// what a layer locks for requests. Values are given as they are after decoding. Parameters
    /// that the template does not have are ignored, as those of a route are.
    ///
    /// [`RedlockLayer::mutex`](crate::RedlockLayer::mutex) has an example.
    ///
    /// ```
    /// use redsync_tower::key::{self, LockKey};
    ///
    /// let key = key::path("user:{email}");
    /// let name = key.name([("email", "ann@example.com")])?;
    /// assert_eq!(name, LockKey::from("user:ann%40example.com"));
    /// # Ok::<_, redsync_tower::key::KeyError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`KeyError::Misconfigured`] if a parameter of the template has no value, or more than one.
    pub fn name<'a>(
        &self,
        values: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<LockKey, KeyError> {
        let values: Vec<_> = values.into_iter().collect();
        self.0.template.fill_in(&values).map(LockKey::from)
    }

    /// Checks that the template fits a route: that the route has each parameter of the template
    /// exactly once.
    ///
    /// axum does not tell a layer which route it is for, so without this call a parameter that the
    /// route does not have is noticed at the first request. With a nested router, give the whole
    /// path: it may have two parameters of one name.
    ///
    /// ```
    /// use axum::{Router, routing::put};
    /// use redsync::Redsync;
    /// use redsync_tower::{RedlockLayer, key};
    ///
    /// const ORDER: &str = "/orders/{id}";
    ///
    /// let key = key::path("order:{id}").for_route(ORDER);
    /// let lock = RedlockLayer::new(Redsync::in_memory(3), key);
    /// let app: Router = Router::new().route(ORDER, put(async || "updated").route_layer(lock));
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if the template does not fit, as axum's `Router::route` does for a path that it
    /// cannot route.
    #[must_use]
    #[track_caller]
    pub fn for_route(self, route: &str) -> Self {
        let values = parameters(route).map(|name| (name, "value"));
        if let Err(error) = self.name(values) {
            panic!("{error} on the route `{route}`");
        }
        self
    }

    /// Passes a request that no route matched.
    fn pass_unmatched<B>(&self, request: &Request<B>) {
        let Shared {
            template,
            has_passed_unmatched,
        } = &*self.0;
        // Relaxed: nothing else depends on it.
        if !has_passed_unmatched.swap(true, Relaxed) {
            let (method, path) = (request.method(), Printable(request.uri().path()));
            let template = template.to_string();
            tracing::warn!(
                %method,
                %path,
                template,
                "a request that no route matched passes without a lock; others are not reported"
            );
        }
    }
}

impl<B> Key<B> for PathKey {
    type Future = Ready<KeyOutput<B>>;

    fn key(&self, mut request: Request<B>) -> Self::Future {
        let key = match params(&mut request) {
            Ok(Some(params)) => match self.name(&params) {
                // A service that is nested has parameters, but no matched path, so the name is
                // tried first.
                Err(_) if request.extensions().get::<MatchedPath>().is_none() => {
                    self.pass_unmatched(&request);
                    Ok(None)
                }
                name => name.map(Some),
            },
            Ok(None) => self.name([]).map(Some),
            Err(error) => Err(error),
        };
        ready((request, key))
    }
}

/// The decoded parameters, or [`None`] if the request has not come through a router.
fn params<B>(request: &mut Request<B>) -> Result<Option<RawPathParams>, KeyError> {
    // axum keeps the parameters in a private extension, which its extractors read from `Parts`. So
    // `Parts` borrow the request's extensions.
    let (mut parts, ()) = Request::new(()).into_parts();
    parts.extensions = mem::take(request.extensions_mut());
    let params = {
        // The extractor only looks into the extensions, so it is ready at once.
        let extract = pin!(RawPathParams::from_request_parts(&mut parts, &()));
        extract.poll(&mut Context::from_waker(Waker::noop()))
    };
    *request.extensions_mut() = parts.extensions;
    match params {
        Poll::Ready(Ok(params)) => Ok(Some(params)),
        Poll::Ready(Err(rejection)) if rejection.status().is_client_error() => {
            Err(KeyError::BadRequest(rejection.body_text().into()))
        }
        _ => Ok(None),
    }
}
