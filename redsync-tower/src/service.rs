//! The service that a layer makes of an inner service.

use std::{
    fmt, mem,
    sync::Arc,
    task::{Context, Poll},
};

use http::{Request, Response};
use http_body::Body;
use tower_service::Service;

use crate::{
    body::ResponseBody, common::Common, context::RequestContext, future::ResponseFuture, key::Key,
};

/// Middleware that holds a lock while the inner service handles a request.
///
/// A [`RedlockLayer`](crate::RedlockLayer) makes it. The [crate docs](crate) have examples.
#[derive(Clone)]
pub struct Redlock<S, K> {
    inner: S,
    key: K,
    common: Arc<Common>,
}

impl<S, K> Redlock<S, K> {
    pub(crate) const fn new(inner: S, key: K, common: Arc<Common>) -> Self {
        Self { inner, key, common }
    }

    /// Returns a reference to the inner service.
    pub const fn get_ref(&self) -> &S {
        &self.inner
    }

    /// Returns a mutable reference to the inner service.
    pub const fn get_mut(&mut self) -> &mut S {
        &mut self.inner
    }

    /// Returns the inner service.
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
        if !self.common.config.locking.applies_to(&request) {
            return ResponseFuture::passing(self.inner.call(request));
        }
        // The future takes the service that `poll_ready` found ready. The clone need not be ready.
        let clone = self.inner.clone();
        let inner = mem::replace(&mut self.inner, clone);
        let context = RequestContext::new(Arc::clone(&self.common), request.headers());
        ResponseFuture::finding_key(context, self.key.key(request), inner)
    }
}

impl<S: fmt::Debug, K> fmt::Debug for Redlock<S, K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redlock")
            .field("inner", &self.inner)
            .field("key", &format_args!("{}", std::any::type_name::<K>()))
            .field("config", &self.common.config)
            .finish()
    }
}
