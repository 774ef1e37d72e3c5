//! The response body: the inner service's, possibly with a lock, or that of the layer's own
//! response.

use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;

use crate::{slot::RequestLock, telemetry::Telemetry};

pin_project! {
    /// Response body of a [`Redlock`](crate::Redlock) service.
    ///
    /// It is the inner service's body, with its frames, trailers and [size hint](Body::size_hint)
    /// as they are, or the body of the layer's own response. With
    /// [`HoldUntil::BodyEnd`](crate::HoldUntil::BodyEnd) it also holds the lock, and releases it in
    /// the background when it ends, fails or is dropped.
    pub struct ResponseBody<B> {
        #[pin]
        body: Inner<B>,
    }
}

pin_project! {
    #[project = InnerProj]
    enum Inner<B> {
        Plain { #[pin] body: B },
        // The order of the fields is the order of their drops: first the work, then its lock.
        Locked { #[pin] body: B, lock: Option<BodyLock> },
        Answer { #[pin] body: Full<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    /// The inner service's body.
    pub(crate) const fn plain(body: B) -> Self {
        Self {
            body: Inner::Plain { body },
        }
    }

    /// The inner service's body, which holds a lock until its end.
    pub(crate) const fn locked(body: B, lock: BodyLock) -> Self {
        Self {
            body: Inner::Locked {
                body,
                lock: Some(lock),
            },
        }
    }

    /// The body of the layer's own response.
    pub(crate) fn answer(body: Bytes) -> Self {
        Self {
            body: Inner::Answer {
                body: Full::new(body),
            },
        }
    }
}

impl<B: Body<Data = Bytes>> Body for ResponseBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        match self.project().body.project() {
            InnerProj::Plain { body } => body.poll_frame(cx),
            InnerProj::Locked { mut body, lock } => {
                let frame = ready!(body.as_mut().poll_frame(cx));
                // A server need not poll a body again after its last frame.
                if !matches!(frame, Some(Ok(_))) || body.is_end_stream() {
                    drop(lock.take());
                }
                Poll::Ready(frame)
            }
            InnerProj::Answer { body } => body.poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Inner::Plain { body } | Inner::Locked { body, .. } => body.is_end_stream(),
            Inner::Answer { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Inner::Plain { body } | Inner::Locked { body, .. } => body.size_hint(),
            Inner::Answer { body } => body.size_hint(),
        }
    }
}

/// The lock of a response whose body is being sent.
pub(crate) struct BodyLock {
    lock: RequestLock,
    telemetry: Telemetry,
}

impl BodyLock {
    pub(crate) const fn new(lock: RequestLock, telemetry: Telemetry) -> Self {
        Self { lock, telemetry }
    }
}

impl Drop for BodyLock {
    fn drop(&mut self) {
        // A detached lock is reported by the telemetry's own drop.
        if let Some(lost) = self.lock.release_in_background() {
            self.telemetry.body_ended(lost);
        }
    }
}

impl<B> fmt::Debug for ResponseBody<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseBody").finish_non_exhaustive()
    }
}

impl<B: Default> Default for ResponseBody<B> {
    fn default() -> Self {
        Self::plain(B::default())
    }
}
