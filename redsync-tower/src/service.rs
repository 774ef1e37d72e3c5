use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::{Key, RedlockLayer, ResponseBody, ResponseFuture, errand::Errand};

/// Middleware that holds a lock for as long as the inner service works on a request.
///
/// See the [crate docs](crate) for examples.
#[derive(Clone)]
pub struct Redlock<S, K> {
    inner: S,
    layer: RedlockLayer<K>,
}

impl<S, K> Redlock<S, K> {
    /// Wraps a service with what `layer` says.
    pub const fn new(inner: S, layer: RedlockLayer<K>) -> Self {
        Self { inner, layer }
    }

    /// The inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// The inner service, mutably.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// The inner service, unwrapped.
    pub fn into_inner(self) -> S {
        self.inner
    }
}

impl<S, K, ReqBody, ResBody> Service<Request<ReqBody>> for Redlock<S, K>
where
    S: Service<Request<ReqBody>, Response = Response<ResBody>> + Clone,
    K: Key<ReqBody>,
    ResBody: Body,
{
    type Response = Response<ResponseBody<ResBody>>;
    type Error = S::Error;
    type Future = ResponseFuture<S, ReqBody, K::Future>;

    #[inline]
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<ReqBody>) -> Self::Future {
        let RedlockLayer { key, config } = &self.layer;
        if !config.locks(request.method()) {
            return ResponseFuture::passing(self.inner.call(request));
        }
        // The service that is ready is the one to call; its clone may not be.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        let errand = Errand::new(Arc::clone(config), request.headers());
        ResponseFuture::finding(errand, key.key(request), inner)
    }
}

impl<S: fmt::Debug, K> fmt::Debug for Redlock<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redlock")
            .field("inner", &self.inner)
            .field("layer", &self.layer)
            .finish()
    }
}
