use std::{
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use redsync::{Guard, Lock, LockError, Lost, Release};
use tower_service::Service;

use crate::{
    HeldLock, LockRejection, NotLocked, ResponseBody,
    body::BodyHold,
    errand::Errand,
    held::{Slot, Tenure},
    key::{Found, ReadyKey},
    layer::{Hold, OnLoss},
    waiting::Place,
};

pin_project! {
    /// Response future for [`Redlock`](crate::Redlock).
    ///
    /// # Cancel safety
    ///
    /// Dropped at any time, as on a client's disconnect, it drops the inner service's future first
    /// and then releases the lock in the background.
    pub struct ResponseFuture<S, B, K = ReadyKey<B>>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, K, S::Future, S::Response, S::Error>,
        // None for a request that passes by its method.
        errand: Option<Errand>,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<S, B, K, F, R, E> {
        Passing {
            #[pin]
            inner: F,
        },
        Refused {
            response: Option<Response<Bytes>>,
        },
        Finding {
            #[pin]
            key: K,
            service: Option<S>,
        },
        Locking {
            #[pin]
            lock: Lock,
            place: Place,
            service: Option<S>,
            request: Option<Request<B>>,
        },
        // In the order of their drops: the lock outlives the work.
        Working {
            #[pin]
            inner: F,
            #[pin]
            lost: Lost,
            tenure: Option<Tenure>,
        },
        Releasing {
            #[pin]
            release: Release,
            result: Option<Result<R, E>>,
        },
    }
}

impl<S, B, K> ResponseFuture<S, B, K>
where
    S: Service<Request<B>>,
{
    pub(crate) const fn passing(inner: S::Future) -> Self {
        Self {
            state: State::Passing { inner },
            errand: None,
        }
    }

    pub(crate) const fn finding(errand: Errand, key: K, service: S) -> Self {
        Self {
            state: State::Finding {
                key,
                service: Some(service),
            },
            errand: Some(errand),
        }
    }
}

impl<S, B, K> State<S, B, K, S::Future, S::Response, S::Error>
where
    S: Service<Request<B>>,
{
    fn passing(mut service: S, request: Request<B>) -> Self {
        Self::Passing {
            inner: service.call(request),
        }
    }

    fn refused(errand: &mut Errand, rejection: LockRejection) -> Self {
        errand.record.refused(&rejection);
        Self::Refused {
            response: Some(errand.refuse(rejection)),
        }
    }

    /// After the key was looked for.
    fn found((request, key): Found<B>, service: S, errand: &mut Errand) -> Self {
        let key = match key {
            Ok(Some(key)) => key,
            Ok(None) => return Self::passing(service, request),
            Err(error) => return Self::refused(errand, error.into()),
        };
        let mutex = errand.config.mutex(&key, request.method());
        // This very request may hold it already, by a layer outside: it would wait for itself.
        let held = request.extensions().get::<HeldLock>();
        if held.is_some_and(|held| held.covers(&mutex)) {
            return Self::passing(service, request);
        }
        errand.record.wanted(&mutex);
        let Some(place) = errand.config.enter(&key) else {
            return Self::refused(errand, LockRejection::too_many_waiting());
        };
        Self::Locking {
            lock: errand.lock(&mutex, request.headers()),
            place,
            service: Some(service),
            request: Some(request),
        }
    }

    /// After the lock was had, or not.
    fn locked(
        result: Result<Guard, LockError>,
        mut request: Request<B>,
        mut service: S,
        errand: &mut Errand,
    ) -> Self {
        let mut guard = match result {
            Ok(guard) => guard,
            Err(error @ LockError::Unavailable(_)) if errand.config.fail_open => {
                errand.pass(&error);
                request.extensions_mut().insert(NotLocked);
                return Self::passing(service, request);
            }
            Err(error) => {
                let rejection = errand.record.not_locked(error);
                return Self::refused(errand, rejection);
            }
        };
        errand.record.locked(&guard);
        if errand.config.keep_alive {
            guard.keep_alive();
        }
        let (validity, lost) = (guard.validity(), guard.lost());
        let slot = Slot::new(guard);
        errand.record.holds(validity.clone(), slot.clone());
        // From here on a panic of the service releases.
        let tenure = Tenure(slot.clone());
        let extensions = request.extensions_mut();
        let outer = extensions.remove::<HeldLock>();
        extensions.insert(HeldLock::new(validity, slot, outer));
        Self::Working {
            inner: service.call(request),
            lost,
            tenure: Some(tenure),
        }
    }
}

impl<S, B, K, ResBody> Future for ResponseFuture<S, B, K>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    K: Future<Output = Found<B>>,
    ResBody: Body,
{
    type Output = Result<Response<ResponseBody<ResBody>>, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(errand) = this.errand else {
            let StateProj::Passing { inner } = this.state.project() else {
                unreachable!("what is not passing is on an errand");
            };
            return inner
                .poll(cx)
                .map_ok(|response| response.map(ResponseBody::inner));
        };
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Passing { inner } => {
                    let response = ready!(inner.poll(cx))?;
                    return Poll::Ready(Ok(errand.finish(response.map(ResponseBody::inner))));
                }
                StateProj::Refused { response } => {
                    let response = response.take().expect("polled after it was ready");
                    return Poll::Ready(Ok(errand.finish(response.map(ResponseBody::refusal))));
                }
                StateProj::Finding { key, service } => {
                    let found = ready!(key.poll(cx));
                    State::found(found, service.take().expect("taken once"), errand)
                }
                StateProj::Locking {
                    lock,
                    place: _,
                    service,
                    request,
                } => {
                    let result = ready!(errand.record.span().in_scope(|| lock.poll(cx)));
                    let request = request.take().expect("taken once");
                    let service = service.take().expect("taken once");
                    let span = errand.record.span().clone();
                    span.in_scope(|| State::locked(result, request, service, errand))
                }
                StateProj::Working {
                    inner,
                    lost,
                    tenure,
                } => match errand.record.span().in_scope(|| inner.poll(cx)) {
                    Poll::Pending => {
                        let held = tenure.as_ref().is_some_and(|tenure| tenure.0.is_occupied());
                        // Who may finish, or has handed the lock over, is not aborted.
                        if errand.config.on_loss == OnLoss::Finish || !held {
                            return Poll::Pending;
                        }
                        ready!(lost.poll(cx));
                        errand.record.aborted();
                        State::refused(errand, LockRejection::lost())
                    }
                    Poll::Ready(result) => {
                        let tenure = tenure.take().expect("taken once");
                        if errand.config.hold == Hold::UntilBodyEnd
                            && result.as_ref().is_ok_and(has_body)
                            && tenure.0.is_held()
                        {
                            let hold = BodyHold::new(tenure, errand.leave());
                            let body = |body| ResponseBody::holding(body, hold);
                            return Poll::Ready(
                                result.map(|answer| errand.finish(answer.map(body))),
                            );
                        }
                        if let Some(guard) = tenure.0.take() {
                            State::Releasing {
                                release: guard.release(),
                                result: Some(result),
                            }
                        } else {
                            errand.record.detached();
                            let response = result?.map(ResponseBody::inner);
                            return Poll::Ready(Ok(errand.finish(response)));
                        }
                    }
                },
                StateProj::Releasing { release, result } => {
                    let released = ready!(release.poll(cx));
                    let lost = errand.record.released(&released);
                    let mut response = result.take().expect("polled after it was ready")?;
                    if lost && errand.config.on_loss == OnLoss::Abort {
                        let refusal = errand.refuse(LockRejection::lost());
                        return Poll::Ready(Ok(errand.finish(refusal.map(ResponseBody::refusal))));
                    }
                    if lost {
                        response.extensions_mut().insert(LockRejection::lost());
                    }
                    return Poll::Ready(Ok(errand.finish(response.map(ResponseBody::inner))));
                }
            };
            this.state.set(next);
        }
    }
}

/// Whether a body is to be sent: not by these statuses (RFC 9110, section 6.4.1), whatever the service
/// gave them.
fn has_body<B: Body>(response: &Response<B>) -> bool {
    let status = response.status();
    let bodiless = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    !bodiless && !response.body().is_end_stream()
}

impl<S, B, K> fmt::Debug for ResponseFuture<S, B, K>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
