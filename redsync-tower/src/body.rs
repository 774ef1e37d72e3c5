use std::{
    fmt,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::Full;
use pin_project_lite::pin_project;
use redsync::DrainDelay;

use crate::{held::Tenure, record::Record};

pin_project! {
    /// Response body for [`Redlock`](crate::Redlock): the inner service's, or that of a refusal.
    pub struct ResponseBody<B> {
        #[pin]
        body: Either<B>,
    }
}

pin_project! {
    #[project = EitherProj]
    enum Either<B> {
        Inner { #[pin] body: B },
        // Dropped in this order: the work, then its lock.
        Holding { #[pin] body: B, hold: Option<BodyHold> },
        Refusal { #[pin] body: Full<Bytes> },
    }
}

impl<B> ResponseBody<B> {
    pub(crate) const fn inner(body: B) -> Self {
        Self {
            body: Either::Inner { body },
        }
    }

    /// A body that keeps a lock until it has ended.
    pub(crate) const fn holding(body: B, hold: BodyHold) -> Self {
        Self {
            body: Either::Holding {
                body,
                hold: Some(hold),
            },
        }
    }

    pub(crate) fn refusal(body: Bytes) -> Self {
        Self {
            body: Either::Refusal {
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
            EitherProj::Inner { body } => body.poll_frame(cx),
            EitherProj::Holding { mut body, hold } => {
                let frame = ready!(body.as_mut().poll_frame(cx));
                // A body of known length may not be polled after its last frame.
                if !matches!(frame, Some(Ok(_))) || body.is_end_stream() {
                    drop(hold.take());
                }
                Poll::Ready(frame)
            }
            EitherProj::Refusal { body } => body.poll_frame(cx).map_err(|never| match never {}),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.body {
            Either::Inner { body } | Either::Holding { body, .. } => body.is_end_stream(),
            Either::Refusal { body } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.body {
            Either::Inner { body } | Either::Holding { body, .. } => body.size_hint(),
            Either::Refusal { body } => body.size_hint(),
        }
    }
}

/// The lock of a response whose body is being sent.
pub(crate) struct BodyHold {
    tenure: Tenure,
    record: Record,
    _delays_drain: Option<DrainDelay>,
}

impl BodyHold {
    pub(crate) fn new(
        tenure: Tenure,
        (record, delays_drain): (Record, Option<DrainDelay>),
    ) -> Self {
        Self {
            tenure,
            record,
            _delays_drain: delays_drain,
        }
    }
}

impl Drop for BodyHold {
    fn drop(&mut self) {
        if let Some(guard) = self.tenure.0.take() {
            let lost = guard.is_lost();
            drop(guard);
            self.record.body_ended(lost);
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
        Self::inner(B::default())
    }
}
