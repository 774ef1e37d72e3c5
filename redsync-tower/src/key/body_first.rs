//! Any key, with the request body read before the lock is acquired.

use std::{
    any::type_name,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, request::Parts};
use http_body::Body;
use pin_project_lite::pin_project;

use super::{
    Key, KeyOutput, LockKey,
    error::KeyError,
    read::{BoxError, BufferedBody, Read},
};

/// A key that also reads the request body. See
/// [`RedlockLayer::with_body_first`](crate::RedlockLayer::with_body_first).
#[derive(Clone)]
pub struct BodyFirst<K, F> {
    key: K,
    limit: usize,
    make_body: F,
}

impl<K, F> BodyFirst<K, F> {
    pub(crate) const fn new(key: K, limit: usize, make_body: F) -> Self {
        Self {
            key,
            limit,
            make_body,
        }
    }
}

impl<K, F, B> Key<B> for BodyFirst<K, F>
where
    K: Key<B>,
    F: Fn(BufferedBody) -> B + Clone,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Future = BodyFirstFuture<K::Future, F, B>;

    fn key(&self, request: Request<B>) -> Self::Future {
        BodyFirstFuture {
            state: State::Finding {
                key: self.key.key(request),
            },
            limit: self.limit,
            make_body: self.make_body.clone(),
        }
    }
}

pin_project! {
    /// Future of [`BodyFirst`].
    pub struct BodyFirstFuture<K, F, B> {
        #[pin]
        state: State<K, B>,
        limit: usize,
        make_body: F,
    }
}

pin_project! {
    #[project = StateProj]
    enum State<K, B> {
        Finding {
            #[pin]
            key: K,
        },
        Reading {
            #[pin]
            body: Read<B>,
            rest: Option<(Parts, LockKey)>,
        },
    }
}

impl<K, F, B> Future for BodyFirstFuture<K, F, B>
where
    K: Future<Output = KeyOutput<B>>,
    F: Fn(BufferedBody) -> B,
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Output = KeyOutput<B>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        let make_body = &*this.make_body;
        loop {
            match this.state.as_mut().project() {
                StateProj::Finding { key } => {
                    let (request, key) = ready!(key.poll(cx));
                    let key = match key {
                        Ok(Some(key)) if !request.body().is_end_stream() => key,
                        key => return Poll::Ready((request, key)),
                    };
                    let (parts, body) = request.into_parts();
                    match Read::new(body, *this.limit) {
                        Ok(body) => {
                            let rest = Some((parts, key));
                            this.state.set(State::Reading { body, rest });
                        }
                        Err(error) => return Poll::Ready(unread(parts, error, make_body)),
                    }
                }
                StateProj::Reading { body, rest } => {
                    let body = ready!(body.poll(cx));
                    let (parts, key) = rest.take().expect("polled after it was ready");
                    return Poll::Ready(match body {
                        Ok(body) => {
                            let request = Request::from_parts(parts, make_body(body));
                            (request, Ok(Some(key)))
                        }
                        Err(error) => unread(parts, error, make_body),
                    });
                }
            }
        }
    }
}

/// A request that is to be refused, without its body.
fn unread<B>(parts: Parts, error: KeyError, make_body: impl Fn(BufferedBody) -> B) -> KeyOutput<B> {
    let empty = make_body(BufferedBody::default());
    (Request::from_parts(parts, empty), Err(error))
}

impl<K, F> fmt::Debug for BodyFirst<K, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyFirst")
            .field("key", &format_args!("{}", type_name::<K>()))
            .field("limit", &self.limit)
            .finish_non_exhaustive()
    }
}

impl<K, F, B> fmt::Debug for BodyFirstFuture<K, F, B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BodyFirstFuture").finish_non_exhaustive()
    }
}
