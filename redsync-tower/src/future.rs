//! The future of a request: finds the key, acquires the lock, calls the inner service and releases
//! the lock.
//!
//! A request whose method does not lock is `Passing` from the start. Any other goes through these
//! states:
//!
//! | state | leads to |
//! |---|---|
//! | `FindingKey` | `Acquiring`; `Passing`, if there is no key or an outer layer holds the lock; `Refused`, if the key is invalid or too many requests are pending |
//! | `Acquiring` | `Working`, with the lock; `Passing`, if the layer fails open; otherwise, or if the service shuts down meanwhile, `Refused` |
//! | `Working` | by way of `Worked`, in the same poll: `Releasing`; the response, if its body goes on holding the lock or the handler has detached it; `Refused`, if the lock is lost and the layer aborts |
//! | `Releasing` | the response; `Refused`, if the lock was lost and the layer aborts |
//! | `Passing`, `Refused` | the response |

mod state;

use std::{
    fmt,
    future::{Future, Ready},
    ops::ControlFlow,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::{Request, Response};
use http_body::Body;
use pin_project_lite::pin_project;
use tower_service::Service;

use self::state::{Output, State, StateProj};
use crate::{
    body::ResponseBody, config::OnLoss, context::RequestContext, key::KeyOutput, slot::RequestLock,
};

const TAKEN_ONCE: &str = "a state is left when its parts are taken";

pin_project! {
    /// Response future of a [`Redlock`](crate::Redlock) service.
    ///
    /// `K` is the [future of the key](crate::key::Key::Future).
    ///
    /// # Cancel safety
    ///
    /// The future may be dropped at any time, as servers do when a client disconnects. It then
    /// drops the inner service's future first, and afterwards releases the lock in the background.
    ///
    /// # Panics
    ///
    /// Polling may panic outside of a tokio runtime with its timer enabled, and after the future
    /// has returned its response.
    pub struct ResponseFuture<S, B, K = Ready<KeyOutput<B>>>
    where
        S: Service<Request<B>>,
    {
        #[pin]
        state: State<S, B, K, S::Future, S::Response, S::Error>,
        // `None` for a request that passes because of its method.
        context: Option<RequestContext>,
    }
}

impl<S, B, K> ResponseFuture<S, B, K>
where
    S: Service<Request<B>>,
{
    /// The future of a request that does not lock because of its method.
    pub(crate) const fn passing(inner: S::Future) -> Self {
        Self {
            state: State::Passing { inner },
            context: None,
        }
    }

    /// The future of a request that may lock.
    pub(crate) const fn finding_key(context: RequestContext, key: K, service: S) -> Self {
        Self {
            state: State::FindingKey {
                key,
                service: Some(service),
            },
            context: Some(context),
        }
    }
}

impl<S, B, K, ResBody> Future for ResponseFuture<S, B, K>
where
    S: Service<Request<B>, Response = Response<ResBody>>,
    K: Future<Output = KeyOutput<B>>,
    ResBody: Body,
{
    type Output = Output<ResBody, S::Error>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let Some(context) = this.context else {
            let StateProj::Passing { inner } = this.state.project() else {
                unreachable!("only a passing request has no context");
            };
            return inner
                .poll(cx)
                .map_ok(|response| response.map(ResponseBody::plain));
        };
        loop {
            let next = match this.state.as_mut().project() {
                StateProj::Passing { inner } => {
                    let response = ready!(inner.poll(cx))?;
                    return Poll::Ready(Ok(context.finish(response.map(ResponseBody::plain))));
                }
                StateProj::Refused { response } => {
                    let response = response.take().expect("polled after it was ready");
                    return Poll::Ready(Ok(context.finish(response.map(ResponseBody::answer))));
                }
                StateProj::Worked => unreachable!("polled after it was ready"),
                StateProj::FindingKey { key, service } => {
                    let output = ready!(key.poll(cx));
                    State::key_found(output, service.take().expect(TAKEN_ONCE), context)
                }
                StateProj::Acquiring {
                    lock,
                    shutdown,
                    permit: _,
                    drain_guard,
                    call,
                } => match context.telemetry.span().in_scope(|| lock.poll(cx)) {
                    Poll::Ready(result) => {
                        let waits = !shutdown.had_begun();
                        let call = call.take().expect(TAKEN_ONCE);
                        let span = context.telemetry.span().clone();
                        span.in_scope(|| {
                            State::lock_done(result, waits, drain_guard.take(), call, context)
                        })
                    }
                    Poll::Pending => {
                        ready!(shutdown.poll_begun(cx));
                        State::sent_away(context)
                    }
                },
                StateProj::Working { inner, lost, lock } => {
                    match context.telemetry.span().in_scope(|| inner.poll(cx)) {
                        Poll::Ready(result) => {
                            let lock = lock.take().expect(TAKEN_ONCE);
                            // What the work has kept ends before its lock does.
                            this.state.set(State::Worked);
                            match State::work_done(result, lock, context) {
                                ControlFlow::Continue(next) => next,
                                ControlFlow::Break(output) => return Poll::Ready(output),
                            }
                        }
                        Poll::Pending if aborts_on_loss(lock.as_ref(), context) => {
                            ready!(lost.poll(cx));
                            State::aborted(context)
                        }
                        Poll::Pending => return Poll::Pending,
                    }
                }
                StateProj::Releasing {
                    release,
                    result,
                    lock: _,
                } => {
                    let released = ready!(release.poll(cx));
                    let result = result.take().expect("polled after it was ready");
                    match State::release_done(&released, result, context) {
                        ControlFlow::Continue(next) => next,
                        ControlFlow::Break(output) => return Poll::Ready(output),
                    }
                }
            };
            this.state.set(next);
        }
    }
}

/// Whether a request is aborted if its lock is lost: not if its handler has detached the lock.
fn aborts_on_loss(lock: Option<&RequestLock>, context: &RequestContext) -> bool {
    let is_attached = lock.is_some_and(RequestLock::is_attached);
    is_attached && context.common.config.holding.on_loss == OnLoss::Abort
}

impl<S, B, K> fmt::Debug for ResponseFuture<S, B, K>
where
    S: Service<Request<B>>,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}
