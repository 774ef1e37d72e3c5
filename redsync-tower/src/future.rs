use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use pin_project_lite::pin_project;
use redsync::{Guard, Lock, Lost, Release, Released};
use tokio::time::Instant;
use tower_service::Service;

use crate::{
    HeldLock, LockRejection, ResponseBody,
    layer::{Config, OnLoss},
};

pin_project! {
    /// Response future for [`Redlock`](crate::Redlock).
    ///
    /// # Cancel safety
    ///
    /// Dropped at any time, as on a client's disconnect, it drops the inner service's future first
    /// and then releases the lock in the background.
    pub struct ResponseFuture<S, B>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, S::Future, S::Response, S::Error>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, F, R, E> {
        Passing {
            #[pin]
            inner: F,
        },
        Refused {
            response: Option<Response<Bytes>>,
        },
        Locking {
            #[pin]
            lock: Lock,
            started: Instant,
            service: Option<S>,
            request: Option<Request<B>>,
            config: Arc<Config>,
        },
        // In the order of their drops: the lock outlives the work.
        Working {
            #[pin]
            inner: F,
            #[pin]
            lost: Lost,
            guard: Option<Guard>,
            since: Instant,
            config: Arc<Config>,
        },
        Releasing {
            #[pin]
            release: Release,
            result: Option<Result<R, E>>,
            name: Arc<str>,
            since: Instant,
            config: Arc<Config>,
        },
    }
}

impl<S, B> ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    pub(crate) const fn passing(inner: S::Future) -> Self {
        Self {
            state: State::Passing { inner },
        }
    }

    pub(crate) const fn refused(response: Response<Bytes>) -> Self {
        Self {
            state: State::Refused {
                response: Some(response),
            },
        }
    }

    pub(crate) fn locking(
        config: Arc<Config>,
        lock: Lock,
        service: S,
        request: Request<B>,
    ) -> Self {
        Self {
            state: State::Locking {
                lock,
                started: Instant::now(),
                service: Some(service),
                request: Some(request),
                config,
            },
        }
    }
}

impl<S, B, ResBody> Future for ResponseFuture<S, B>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Passing { inner } => {
                    return inner
                        .poll(cx)
                        .map_ok(|response| response.map(ResponseBody::inner));
                }
                StateProj::Refused { response } => {
                    let response = response.take().expect("polled after it was ready");
                    return Poll::Ready(Ok(response.map(ResponseBody::refusal)));
                }
                StateProj::Locking {
                    lock,
                    started,
                    service,
                    request,
                    config,
                } => match ready!(lock.poll(cx)) {
                    Ok(mut guard) => {
                        let wait = started.elapsed();
                        tracing::debug!(name = guard.name(), ?wait, "locked");
                        if config.keep_alive {
                            guard.keep_alive();
                        }
                        let mut request = request.take().expect("taken once");
                        let mut service = service.take().expect("taken once");
                        (request.extensions_mut()).insert(HeldLock::new(guard.validity()));
                        State::Working {
                            inner: service.call(request),
                            lost: guard.lost(),
                            guard: Some(guard),
                            since: Instant::now(),
                            config: Arc::clone(config),
                        }
                    }
                    Err(error) => State::Refused {
                        response: Some(config.refuse(LockRejection::from(error))),
                    },
                },
                StateProj::Working {
                    inner,
                    lost,
                    guard,
                    since,
                    config,
                } => match inner.poll(cx) {
                    Poll::Ready(result) => {
                        let guard = guard.take().expect("taken once");
                        State::Releasing {
                            name: guard.name().into(),
                            release: guard.release(),
                            result: Some(result),
                            since: *since,
                            config: Arc::clone(config),
                        }
                    }
                    Poll::Pending => {
                        if config.on_loss == OnLoss::Finish {
                            return Poll::Pending;
                        }
                        ready!(lost.poll(cx));
                        tracing::warn!(
                            name = guard.as_ref().map(Guard::name),
                            hold = ?since.elapsed(),
                            "the lock was lost; the request is aborted"
                        );
                        State::Refused {
                            response: Some(config.refuse(LockRejection::lost())),
                        }
                    }
                },
                StateProj::Releasing {
                    release,
                    result,
                    name,
                    since,
                    config,
                } => {
                    let released = ready!(release.poll(cx));
                    let result = result.take().expect("polled after it was ready");
                    let lost = match released {
                        Ok(Released::Held) => {
                            tracing::debug!(%name, hold = ?since.elapsed(), "released");
                            false
                        }
                        Ok(Released::AlreadyLost) => {
                            tracing::warn!(%name, hold = ?since.elapsed(), "the lock was lost");
                            true
                        }
                        // Held by this process' clock, which is what was promised.
                        Err(error) => {
                            tracing::warn!(%name, %error, "not known to be released");
                            false
                        }
                    };
                    return Poll::Ready(result.map(|mut response| {
                        match config.on_loss {
                            OnLoss::Abort if lost => config
                                .refuse(LockRejection::lost())
                                .map(ResponseBody::refusal),
                            _ => {
                                if lost {
                                    response.extensions_mut().insert(LockRejection::lost());
                                }
                                response.map(ResponseBody::inner)
                            }
                        }
                    }));
                }
            };
            this.state.set(next);
        }
    }
}

impl<S, B> fmt::Debug for ResponseFuture<S, B>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
