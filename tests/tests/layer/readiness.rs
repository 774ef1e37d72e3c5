//! The service that was polled ready is the one that is called.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use redsync_tower::{RedlockLayer, key::LockKey};
use tokio::time::timeout;
use tower::{Layer, Service, ServiceExt, limit::ConcurrencyLimitLayer};
use tower_test::mock;

use crate::support::{Nodes, SOON, post, secs};

/// By the path; `/` needs none.
fn by_path<B>(request: &Request<B>) -> Option<LockKey> {
    let path = request.uri().path();
    (path != "/").then(|| path.into())
}

fn request(path: &str) -> Request<()> {
    let request = Request::builder().method(Method::POST).uri(path);
    request.body(()).expect("a request")
}

fn ok() -> Response<Full<Bytes>> {
    Response::new(Full::from("done"))
}

async fn next(handle: &mut Handle) -> (Request<()>, mock::SendResponse<Response<Full<Bytes>>>) {
    let request = timeout(SOON, handle.next_request()).await;
    request.expect("it is called").expect("a request")
}

async fn answer(handle: &mut Handle, path: &str) {
    let (request, respond) = next(handle).await;
    assert_eq!(request.uri().path(), path);
    respond.send_response(ok());
}

type Mock = mock::Mock<Request<()>, Response<Full<Bytes>>>;
type Handle = mock::Handle<Request<()>, Response<Full<Bytes>>>;

/// A mock panics if it is called and was not polled ready, and its clones are not ready.
#[tokio::test(start_paused = true)]
async fn a_service_that_insists_on_readiness_is_made_ready_first() {
    let nodes = Nodes::new();
    let (mock, mut handle): (Mock, Handle) = mock::pair();
    let mut service = RedlockLayer::new(nodes.redsync(), by_path).layer(mock);
    // Locked, not locked, and again on the service that was swapped.
    for path in ["/a", "/", "/a", "/b", "/"] {
        let response = service.ready().await.unwrap().call(request(path));
        let response = tokio::spawn(response);
        answer(&mut handle, path).await;
        assert_eq!(response.await.unwrap().unwrap().status(), StatusCode::OK);
    }
}

#[tokio::test(start_paused = true)]
async fn readiness_is_that_of_the_inner_service() {
    let nodes = Nodes::new();
    let (mock, mut handle) = mock::spawn_with::<Request<()>, Response<Full<Bytes>>, _, _>(|mock| {
        RedlockLayer::new(nodes.redsync(), by_path).layer(mock)
    });
    let mut mock = mock;
    handle.allow(0);
    assert!(mock.poll_ready().is_pending());
    handle.allow(1);
    assert!(mock.is_woken());
    assert!(matches!(mock.poll_ready(), Poll::Ready(Ok(()))));
    let call = tokio::spawn(mock.call(request("/a")));
    let (_, respond) = next(&mut handle).await;
    respond.send_response(ok());
    call.await.unwrap().unwrap();
    assert!(mock.poll_ready().is_pending(), "one was allowed");

    handle.send_error("broken");
    match mock.poll_ready() {
        Poll::Ready(Err(error)) => assert_eq!(error.to_string(), "broken"),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_inner_service_is_the_error() {
    let nodes = Nodes::new();
    let (mock, mut handle): (Mock, Handle) = mock::pair();
    let service = RedlockLayer::new(nodes.redsync(), by_path).layer(mock);
    let response = tokio::spawn(service.oneshot(request("/a")));
    let (_, respond) = next(&mut handle).await;
    assert!(!nodes.are_free());
    respond.send_error("broken");
    let error = response.await.unwrap().expect_err("broken");
    assert_eq!(error.to_string(), "broken");
    assert!(nodes.are_free());
}

#[tokio::test(start_paused = true)]
async fn a_refused_request_does_not_reach_the_service() {
    let nodes = Nodes::new();
    let (mock, mut handle): (Mock, Handle) = mock::pair();
    let mut service = RedlockLayer::new(nodes.redsync(), by_path).layer(mock);
    let _guard = nodes.redsync().mutex("/a").lock().await.unwrap();
    let response = service.ready().await.unwrap().call(request("/a")).await;
    assert_eq!(response.unwrap().status(), StatusCode::CONFLICT);
    assert!(handle.poll_request().is_pending());
    // It was ready, and is still good for another request.
    let response = tokio::spawn(service.ready().await.unwrap().call(request("/b")));
    answer(&mut handle, "/b").await;
    assert!(response.await.unwrap().is_ok());
}

/// Is ready; its clones never are.
#[derive(Debug)]
struct OnlyOriginal {
    original: bool,
}

impl Clone for OnlyOriginal {
    fn clone(&self) -> Self {
        Self { original: false }
    }
}

impl<B> Service<Request<B>> for OnlyOriginal {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        if self.original {
            Poll::Ready(Ok(()))
        } else {
            Poll::Pending
        }
    }

    fn call(&mut self, _: Request<B>) -> Self::Future {
        assert!(self.original, "the clone was called");
        ready(Ok(ok()))
    }
}

#[tokio::test(start_paused = true)]
async fn a_clone_that_is_never_ready_does_not_delay_the_call() {
    let nodes = Nodes::new();
    for path in ["/a", "/"] {
        let mut service =
            RedlockLayer::new(nodes.redsync(), by_path).layer(OnlyOriginal { original: true });
        let ready = timeout(secs(1), service.ready()).await.expect("ready");
        let response = timeout(secs(1), ready.unwrap().call(post(path))).await;
        assert_eq!(
            response.expect("not stuck").unwrap().status(),
            StatusCode::OK
        );
    }
}

/// The permit of a limit inside is that of the request which was polled ready for.
#[tokio::test(start_paused = true)]
async fn a_concurrency_limit_inside_is_kept_and_its_permit_returned() {
    let nodes = Nodes::new();
    let (mock, mut handle): (Mock, Handle) = mock::pair();
    let limited = ConcurrencyLimitLayer::new(1).layer(mock);
    let mut service = RedlockLayer::new(nodes.redsync(), by_path).layer(limited);
    for path in ["/a", "/b", "/", "/a"] {
        let ready = timeout(SOON, service.ready()).await.expect("a permit");
        let response = tokio::spawn(ready.unwrap().call(request(path)));
        answer(&mut handle, path).await;
        assert!(response.await.unwrap().is_ok());
    }
}
