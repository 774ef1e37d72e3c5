//! What the tests of the layer share.

use std::{
    future::Future,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header};
use http_body_util::BodyExt;
use redsync::Redsync;
use redsync_tests::faulty::{Fault, FaultyNode, Operation};
use redsync_tower::{LockRejection, LockRejectionReason};
use tokio::time::sleep;
use tower::{Service, ServiceExt};
use tracing::subscriber::DefaultGuard;

/// A generous limit for what has to happen soon on a real clock.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) const fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

pub(crate) fn request(method: Method, uri: &str) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(uri)
        .body(Body::empty())
        .expect("a request")
}

pub(crate) fn post(uri: &str) -> Request<Body> {
    request(Method::POST, uri)
}

/// Sends a request to a clone of a service that never fails, as a server does.
pub(crate) fn send<S, B>(
    service: &S,
    request: Request<B>,
) -> impl Future<Output = S::Response> + use<S, B>
where
    S: Service<Request<B>, Error = std::convert::Infallible> + Clone,
{
    let service = service.clone();
    async move {
        match service.oneshot(request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }
}

pub(crate) async fn text(response: Response) -> String {
    let body = response.into_body().collect().await.expect("a body");
    String::from_utf8(body.to_bytes().into()).expect("a body of text")
}

/// The rejection in the extensions of a response.
pub(crate) fn rejection<B>(response: &http::Response<B>) -> Option<LockRejection> {
    response.extensions().get().cloned()
}

/// Checks a refusal in the form that all of them have, and returns its `Retry-After`.
#[track_caller]
pub(crate) fn refusal(
    response: Response,
    status: StatusCode,
    reason: LockRejectionReason,
) -> impl Future<Output = Option<u64>> {
    assert_eq!(response.status(), status);
    let rejection = rejection(&response).expect("a rejection in the extensions");
    assert_eq!(rejection.reason(), reason);
    assert_eq!(rejection.status(), status);
    let headers = response.headers();
    assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
    let retry_after = headers.get(header::RETRY_AFTER).map(|after| {
        let after = after.to_str().expect("text");
        let after: u64 = after.parse().expect("whole seconds");
        assert!(after >= 1, "{after}");
        after
    });
    assert_eq!(
        retry_after,
        rejection.retry_after().map(|after| after.as_secs())
    );
    async move {
        let problem: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(&text(response).await).expect("a JSON object");
        assert_eq!(problem["type"], reason.problem_type());
        assert!(!problem["title"].as_str().expect("a string").is_empty());
        assert_eq!(problem["status"], status.as_u16());
        assert_eq!(problem["detail"], rejection.to_string());
        let in_body = problem
            .get("retry_after")
            .and_then(serde_json::Value::as_u64);
        assert_eq!(in_body, retry_after);
        assert_eq!(problem.len(), 4 + usize::from(retry_after.is_some()));
        retry_after
    }
}

/// What is logged at level `info`, in the usual format.
#[derive(Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// Listens on this thread, until the guard is dropped.
    pub(crate) fn listen() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// What has been logged since the last time.
    pub(crate) fn take(&self) -> String {
        let logged = std::mem::take(&mut *self.0.lock().expect("no panic while it is locked"));
        String::from_utf8(logged).expect("a log of text")
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut logged = self.0.lock().expect("no panic while it is locked");
        logged.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Three nodes in this process.
pub(crate) struct Nodes([FaultyNode; 3]);

impl Nodes {
    pub(crate) fn new() -> Self {
        Self([(); 3].map(|()| FaultyNode::new()))
    }

    /// As a process of its own would have it: the nodes are all that two of them share.
    pub(crate) fn redsync(&self) -> Redsync {
        Redsync::new(self.0.clone()).expect("three nodes")
    }

    /// [`redsync`](Self::redsync) with an expiry.
    pub(crate) fn expiring(&self, expiry: Duration) -> Redsync {
        let redsync = self.redsync();
        let redsync = redsync.with_defaults(|mutex| mutex.with_expiry(expiry));
        redsync.expect("an expiry that works")
    }

    /// Stops this number of nodes, and starts the others.
    pub(crate) fn take_down(&self, count: usize) {
        for (index, node) in self.0.iter().enumerate() {
            node.always(if index < count {
                Fault::unreachable()
            } else {
                Fault::none()
            });
        }
    }

    /// Lets all nodes hang: their answers take this long.
    pub(crate) fn answers_take(&self, time: Duration) {
        for node in &self.0 {
            node.always(Fault::late_request(time));
        }
    }

    /// How long releases take from now on.
    pub(crate) fn release_takes(&self, time: Duration) {
        for node in &self.0 {
            node.always_on(Operation::Release, Fault::late_request(time));
        }
    }

    /// Deletes all keys of this number of nodes.
    pub(crate) fn clear(&self, count: usize) {
        for node in &self.0[..count] {
            node.inner().clear();
        }
    }

    /// How often the first node was asked for a lock.
    pub(crate) fn tries(&self) -> usize {
        self.0[0].sent(Operation::Acquire).len()
    }

    /// Whether most of them hold no key: all that is waited for when a lock is released.
    pub(crate) fn are_free(&self) -> bool {
        self.keys().iter().filter(|keys| **keys == 0).count() >= 2
    }

    /// How many keys each holds.
    pub(crate) fn keys(&self) -> [usize; 3] {
        [0, 1, 2].map(|index| self.0[index].inner().len())
    }
}

/// Calls what it is given when it is dropped.
pub(crate) struct OnDrop<F: FnMut()>(pub(crate) F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// Counts how many work at a time.
#[derive(Clone, Default)]
pub(crate) struct Gauge(Arc<Counts>);

#[derive(Default)]
struct Counts {
    now: AtomicUsize,
    most: AtomicUsize,
    done: AtomicUsize,
}

impl Gauge {
    /// Works for a while.
    pub(crate) async fn work(self, time: Duration) {
        self.around(sleep(time)).await;
    }

    /// Counts something as work.
    pub(crate) async fn around<T>(self, work: impl Future<Output = T>) -> T {
        let now = 1 + self.0.now.fetch_add(1, Ordering::SeqCst);
        self.0.most.fetch_max(now, Ordering::SeqCst);
        let _left = OnDrop(|| {
            self.0.now.fetch_sub(1, Ordering::SeqCst);
        });
        let result = work.await;
        self.0.done.fetch_add(1, Ordering::SeqCst);
        result
    }

    /// How many worked at a time, at the most.
    pub(crate) fn most(&self) -> usize {
        self.0.most.load(Ordering::SeqCst)
    }

    /// How many have begun and not ended.
    pub(crate) fn now(&self) -> usize {
        self.0.now.load(Ordering::SeqCst)
    }

    /// How many have worked to the end.
    pub(crate) fn done(&self) -> usize {
        self.0.done.load(Ordering::SeqCst)
    }
}

/// An empty body that is not [`Clone`].
#[derive(Debug, Default)]
pub(crate) struct Unclonable;

impl http_body::Body for Unclonable {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>, Self::Error>>> {
        std::task::Poll::Ready(None)
    }
}
