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
use tokio::time::Instant;

use crate::{
    ConfigError, Guard, LockError, Mode,
    acquire::{Failure, Limit, Search, wait},
    common::Common,
    gate::Pass,
    metrics,
    request::{Permits, Request},
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

/// A state is left when its request is taken out of it.
const POLLED_AGAIN: &str = "polled after it was ready";

pin_project! {
    #[project = StateProj]
    enum State {
        Start { request: Option<Result<Request, ConfigError>> },
        AtTheGate { pass: BoxFuture<'static, Option<Pass>>, request: Option<Request> },
        First { #[pin] search: Search, request: Option<Request> },
        Waiting { future: BoxFuture<'static, Result<Guard, LockError>> },
    }
}

impl State {
    /// Waits at the gate, because too many attempts are under way.
    fn at_the_gate(request: Request, common: &Arc<Common>, limit: Limit) -> Self {
        let gate = common.gate.clone();
        let node_timeout = request.options.timing.node_timeout();
        let deadline = limit.first_attempt_by(node_timeout, Instant::now());
        Self::AtTheGate {
            pass: async move { gate.pass_in_time(deadline, node_timeout).await }.boxed(),
            request: Some(request),
        }
    }

    /// Makes the first attempt, or joins the queue if there is one.
    fn first(
        request: Request,
        common: &Arc<Common>,
        limit: Limit,
        pass: Pass,
    ) -> Result<Self, LockError> {
        if joins_a_queue(&request, common, limit) {
            return Ok(Self::waiting(request, common, limit, None));
        }
        let permits = Permits::all(&request);
        let repeated = limit.repeats(Instant::now());
        Ok(Self::First {
            search: Search::start(&request, permits, common, pass, repeated, limit)?,
            request: Some(request),
        })
    }

    /// Waits in the queues, after a first attempt that failed, if one was made.
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

/// Whether a call makes no first attempt, because others of this process wait already.
fn joins_a_queue(request: &Request, common: &Common, limit: Limit) -> bool {
    limit.retries() && common.queues.has_queue_for(request)
}

impl Lock {
    pub(super) fn new(
        request: Result<Request, ConfigError>,
        common: Arc<Common>,
        limit: Limit,
    ) -> Self {
        let mode = (request.as_ref()).map_or(Mode::Exclusive, |request| request.options.kind.mode);
        let counted = metrics::Acquisition::begin(&common.services.lock_metrics, mode);
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
                    let request = request.take().expect(POLLED_AGAIN)?;
                    match this.common.gate.try_pass() {
                        Some(pass) => State::first(request, this.common, *this.limit, pass)?,
                        // It needs no place at the gate to wait behind others of this process.
                        None if joins_a_queue(&request, this.common, *this.limit) => {
                            State::waiting(request, this.common, *this.limit, None)
                        }
                        None => State::at_the_gate(request, this.common, *this.limit),
                    }
                }
                StateProj::AtTheGate { pass, request } => {
                    let pass = ready!(pass.as_mut().poll(cx));
                    let request = request.take().expect(POLLED_AGAIN);
                    let Some(pass) = pass else {
                        let failure = Failure::overloaded(&request, &this.common.nodes);
                        return Poll::Ready(Err(failure.into_error(*this.limit)));
                    };
                    State::first(request, this.common, *this.limit, pass)?
                }
                StateProj::First { search, request } => {
                    let searched = request.as_ref().expect(POLLED_AGAIN);
                    match ready!(search.poll(searched, cx))? {
                        Ok(guard) => return Poll::Ready(Ok(guard)),
                        Err(failure) if this.limit.retries() && !failure.is_final() => {
                            let request = request.take().expect(POLLED_AGAIN);
                            State::waiting(request, this.common, *this.limit, Some(failure))
                        }
                        Err(failure) => return Poll::Ready(Err(failure.into_error(*this.limit))),
                    }
                }
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
