//! The future that locks.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::future::{BoxFuture, FutureExt};
use pin_project_lite::pin_project;

use crate::{
    ConfigError, Guard, LockError, Mode,
    acquire::{Attempt, Failure, Limit, wait},
    common::Common,
    metrics,
    request::Request,
};

pin_project! {
    /// The future of [`Mutex::lock`](crate::Mutex::lock) and its like.
    ///
    /// The first attempt is polled in place. Only a future that has to wait allocates.
    ///
    #[doc = include_str!("../docs/waiting.md")]
    #[must_use = "futures do nothing unless polled"]
    pub struct Lock {
        #[pin]
        state: State,
        limit: Limit,
        common: Arc<Common>,
        counted: metrics::Acquisition,
    }
}

pin_project! {
    #[project = StateProj]
    enum State {
        Start { request: Option<Result<Request, ConfigError>> },
        First { #[pin] attempt: Attempt, request: Option<Request> },
        Waiting { future: BoxFuture<'static, Result<Guard, LockError>> },
    }
}

impl State {
    fn waiting(
        request: Request,
        common: &Arc<Common>,
        limit: Limit,
        first: Option<Failure>,
    ) -> Self {
        Self::Waiting {
            future: wait(request, Arc::clone(common), limit, first).boxed(),
        }
    }
}

impl Lock {
    pub(super) fn new(
        request: Result<Request, ConfigError>,
        common: Arc<Common>,
        limit: Limit,
    ) -> Self {
        let mode = (request.as_ref()).map_or(Mode::Exclusive, |request| request.options.kind.mode);
        let counted = metrics::Acquisition::begin(common.nodes.lock_metrics(), mode);
        Self {
            state: State::Start {
                request: Some(request),
            },
            limit,
            common,
            counted,
        }
    }

    fn poll_lock(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Guard, LockError>> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Start { request } => {
                    let request = request.take().expect("polled after it was ready")?;
                    if this.limit.retries() && this.common.queues.has_queue_for(&request) {
                        State::waiting(request, this.common, *this.limit, None)
                    } else {
                        State::First {
                            attempt: Attempt::start(&request, this.common)?,
                            request: Some(request),
                        }
                    }
                }
                StateProj::First { attempt, request } => match ready!(attempt.poll(cx)) {
                    Ok(guard) => return Poll::Ready(Ok(guard)),
                    Err(failure) if this.limit.retries() && !failure.is_final() => {
                        let request = request.take().expect("polled after it was ready");
                        State::waiting(request, this.common, *this.limit, Some(failure))
                    }
                    Err(failure) => return Poll::Ready(Err(failure.into_error(*this.limit))),
                },
                StateProj::Waiting { future } => return future.as_mut().poll(cx),
            };
            this.state.set(next);
        }
    }
}

impl Future for Lock {
    type Output = Result<Guard, LockError>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let result = ready!(self.as_mut().poll_lock(cx));
        self.project().counted.end(&result);
        Poll::Ready(result)
    }
}

impl fmt::Debug for Lock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lock")
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}
