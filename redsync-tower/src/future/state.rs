//! The states of a request, and how one leads to the next. The docs of the [future](super) have the
//! table.

use std::ops::ControlFlow;

use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body::Body;
use pin_project_lite::pin_project;
use redsync::{
    DrainGuard, Guard, LockError, ReleaseError, Released,
    future::{Lock, Lost, Release},
};
use tower_service::Service;

use crate::{
    body::{BodyLock, ResponseBody},
    config::{HoldUntil, OnLoss},
    context::RequestContext,
    held::{HeldLock, NotLocked},
    key::KeyOutput,
    live::PendingPermit,
    mistake,
    rejection::LockRejection,
    shutdown::Shutdown,
    slot::RequestLock,
};

/// What the future of a request returns.
pub(super) type Output<B, E> = Result<Response<ResponseBody<B>>, E>;

pin_project! {
    #[project = StateProj]
    pub(super) enum State<S, B, K, F, R, E> {
        Passing {
            #[pin]
            inner: F,
        },
        Refused {
            response: Option<Response<Bytes>>,
        },
        FindingKey {
            #[pin]
            key: K,
            service: Option<S>,
        },
        Acquiring {
            #[pin]
            lock: Lock,
            #[pin]
            shutdown: Shutdown,
            permit: PendingPermit,
            // From here on a drain waits, because the lock may be acquired at any time.
            drain_guard: Option<DrainGuard>,
            call: Option<(S, Request<B>)>,
        },
        // The order of the fields is the order of their drops: first the work, then its lock.
        Working {
            #[pin]
            inner: F,
            #[pin]
            lost: Lost,
            lock: Option<RequestLock>,
        },
        // The work is done and dropped, and its lock is about to be released.
        Worked,
        Releasing {
            #[pin]
            release: Release,
            result: Option<Result<R, E>>,
            // Keeps a drain waiting until the release has ended.
            lock: RequestLock,
        },
    }
}

// Each function leads to the next state.
impl<S, B, K> State<S, B, K, S::Future, S::Response, S::Error>
where
    S: Service<Request<B>>,
{
    /// Hands a request to the inner service without a lock.
    fn passing(mut service: S, request: Request<B>) -> Self {
        Self::Passing {
            inner: service.call(request),
        }
    }

    /// Refuses a request that cannot lock. If a mistake in the program is the reason, an event says
    /// so.
    fn rejected(
        rejection: LockRejection,
        request: &Request<B>,
        context: &mut RequestContext,
    ) -> Self {
        let extensions = request.extensions();
        mistake::report(&rejection, request.method(), request.uri(), extensions);
        Self::refused(context, rejection)
    }

    /// Refuses a request.
    fn refused(context: &mut RequestContext, rejection: LockRejection) -> Self {
        let rejection = context.complete(rejection);
        context.telemetry.refused(&rejection);
        Self::answered(context, rejection)
    }

    /// Leaves `Working` because the lock is lost.
    pub(super) fn aborted(context: &mut RequestContext) -> Self {
        context.telemetry.aborted();
        Self::lost(context)
    }

    /// Answers a request whose lock is lost.
    fn lost(context: &RequestContext) -> Self {
        Self::answered(context, context.complete(LockRejection::lost()))
    }

    /// Answers a request in place of the inner service.
    fn answered(context: &RequestContext, rejection: LockRejection) -> Self {
        Self::Refused {
            response: Some(context.respond(rejection)),
        }
    }

    /// Leaves `FindingKey`.
    pub(super) fn key_found(
        (request, key): KeyOutput<B>,
        service: S,
        context: &mut RequestContext,
    ) -> Self {
        let key = match key {
            Ok(Some(key)) => key.check().map(|()| key),
            Ok(None) => return Self::passing(service, request),
            Err(error) => Err(error),
        };
        let key = match key {
            Ok(key) => key,
            Err(error) => return Self::rejected(error.into(), &request, context),
        };
        let locking = &context.common.config.locking;
        let mutex = locking.mutex_for(&key, &request);
        // If an outer layer holds the lock for this request, the request would wait for itself.
        let held = request.extensions().get::<HeldLock>();
        if held.is_some_and(|held| held.covers(&mutex)) {
            return Self::passing(service, request);
        }
        context.telemetry.waiting(&mutex);
        let Some(permit) = context.enter(&key) else {
            return Self::refused(context, LockRejection::too_many_waiting());
        };
        let drain_guard = locking.drain_guard();
        let preferred_wait = context.read_preferred_wait(request.headers());
        let (lock, shutdown) = context.common.config.waiting.lock(&mutex, preferred_wait);
        Self::Acquiring {
            lock,
            shutdown,
            permit,
            drain_guard: Some(drain_guard),
            call: Some((service, request)),
        }
    }

    /// Leaves `Acquiring`. `waits` is false if the request could not wait, because the shutdown had
    /// begun before.
    pub(super) fn lock_done(
        result: Result<Guard, LockError>,
        waits: bool,
        drain_guard: Option<DrainGuard>,
        (mut service, mut request): (S, Request<B>),
        context: &mut RequestContext,
    ) -> Self {
        let guard = match result {
            Ok(guard) => guard,
            Err(error @ (LockError::Unavailable(_) | LockError::TooLate(_)))
                if context.common.config.waiting.fail_open =>
            {
                context.telemetry.failed_open(&error);
                request.extensions_mut().insert(NotLocked);
                return Self::passing(service, request);
            }
            // The request would have waited, but for the shutdown.
            Err(LockError::Taken(_)) if !waits => return Self::sent_away(context),
            Err(error) => {
                context.telemetry.not_acquired(&error);
                return Self::rejected(error.into(), &request, context);
            }
        };
        let (lock, lost) = Self::hold(guard, drain_guard, &mut request, context);
        Self::Working {
            // `lock` exists, so a panic of the service releases it.
            inner: service.call(request),
            lost,
            lock: Some(lock),
        }
    }

    /// Leaves `Acquiring` at a shutdown.
    pub(super) fn sent_away(context: &mut RequestContext) -> Self {
        context.telemetry.sent_away();
        context.forget_preferred_wait();
        Self::refused(context, LockRejection::shutting_down())
    }

    /// Makes the guard the request's lock, and shows it to the handler.
    fn hold(
        mut guard: Guard,
        drain_guard: Option<DrainGuard>,
        request: &mut Request<B>,
        context: &mut RequestContext,
    ) -> (RequestLock, Lost) {
        if context.common.config.holding.keep_alive {
            guard.keep_alive();
        }
        let (attempts, validity, lost) = (guard.attempts(), guard.validity(), guard.lost());
        let lock = RequestLock::new(guard, drain_guard);
        let extensions = request.extensions_mut();
        let outer = extensions.remove::<HeldLock>();
        extensions.insert(HeldLock::new(validity.clone(), lock.slot(), outer));
        context.telemetry.acquired(attempts, validity, lock.slot());
        (lock, lost)
    }
}

impl<S, B, K, ResBody> State<S, B, K, S::Future, S::Response, S::Error>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    ResBody: Body,
{
    /// Leaves `Worked`, with the response if there is nothing to release before it.
    pub(super) fn work_done(
        result: Result<Response<ResBody>, S::Error>,
        lock: RequestLock,
        context: &mut RequestContext,
    ) -> ControlFlow<Output<ResBody, S::Error>, Self> {
        if context.common.config.holding.until == HoldUntil::BodyEnd
            && result.as_ref().is_ok_and(has_body)
            && lock.is_held()
        {
            let lock = BodyLock::new(lock, context.take_telemetry());
            let body = |body| ResponseBody::locked(body, lock);
            return ControlFlow::Break(result.map(|response| context.finish(response.map(body))));
        }
        let Some(release) = lock.release() else {
            context.telemetry.detached();
            let plain = |response: Response<_>| context.finish(response.map(ResponseBody::plain));
            return ControlFlow::Break(result.map(plain));
        };
        ControlFlow::Continue(Self::Releasing {
            release,
            result: Some(result),
            lock,
        })
    }

    /// Leaves `Releasing`, with the response unless the layer's own replaces it.
    pub(super) fn release_done(
        released: &Result<Released, ReleaseError>,
        result: Result<Response<ResBody>, S::Error>,
        context: &mut RequestContext,
    ) -> ControlFlow<Output<ResBody, S::Error>, Self> {
        let lost = context.telemetry.released(released);
        if lost && result.is_ok() && context.common.config.holding.on_loss == OnLoss::Abort {
            return ControlFlow::Continue(Self::lost(context));
        }
        ControlFlow::Break(result.map(|mut response| {
            if lost {
                response.extensions_mut().insert(LockRejection::lost());
            }
            context.finish(response.map(ResponseBody::plain))
        }))
    }
}

/// Whether a body will be sent. Responses with some statuses have none (RFC 9110, section 6.4.1),
/// whatever the service has put there.
fn has_body<B: Body>(response: &Response<B>) -> bool {
    let status = response.status();
    let bodiless = status.is_informational()
        || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    !bodiless && !response.body().is_end_stream()
}
