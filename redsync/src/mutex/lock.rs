//! The future that locks.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_util::future::{BoxFuture, FutureExt};
use pin_project_lite::pin_project;

use crate::{
    ConfigError, Guard, LockError,
    attempt::{Attempt, Failure},
    metrics,
    node::Mode,
    retry::Limit,
    wait::wait,
    wanted::Wanted,
};

pin_project! {
    /// The future of [`Mutex::lock`] and its like.
    ///
    /// The first try is polled in place; only what waits, for a second one or in line, is boxed.
    #[must_use = "futures do nothing unless polled"]
    pub struct Lock {
        #[pin]
        state: State,
        limit: Limit,
        counted: metrics::Acquisition,
    }
}

pin_project! {
    #[project = StateProj]
    enum State {
        Start { wanted: Option<Result<Wanted, ConfigError>> },
        First { #[pin] attempt: Attempt, wanted: Option<Wanted> },
        Waiting { future: BoxFuture<'static, Result<Guard, LockError>> },
    }
}

impl State {
    fn waiting(wanted: Wanted, limit: Limit, first: Option<Failure>) -> Self {
        Self::Waiting {
            future: wait(wanted, limit, first).boxed(),
        }
    }
}

impl Lock {
    pub(super) fn new(wanted: Result<Wanted, ConfigError>, limit: Limit) -> Self {
        let mode = (wanted.as_ref()).map_or(Mode::Exclusive, |wanted| wanted.options.mode);
        let counted = metrics::Acquisition::begin(mode);
        Self {
            state: State::Start {
                wanted: Some(wanted),
            },
            limit,
            counted,
        }
    }

    fn poll_lock(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<Guard, LockError>> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Start { wanted } => {
                    let wanted = wanted.take().expect("polled after it was ready")?;
                    if this.limit.retries() && wanted.redsync.lines().has_line_for(&wanted) {
                        State::waiting(wanted, *this.limit, None)
                    } else {
                        State::First {
                            attempt: Attempt::start(&wanted)?,
                            wanted: Some(wanted),
                        }
                    }
                }
                StateProj::First { attempt, wanted } => match ready!(attempt.poll(cx)) {
                    Ok(guard) => return Poll::Ready(Ok(guard)),
                    Err(failure) if this.limit.retries() => {
                        let wanted = wanted.take().expect("polled after it was ready");
                        State::waiting(wanted, *this.limit, Some(failure))
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
