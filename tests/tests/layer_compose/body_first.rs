//! Bodies that are read before the lock is acquired.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use axum::{Router, body::Body, extract::Request, middleware, routing};
use bytes::Bytes;
use http::Response;
use http_body::Frame;
use http_body_util::{BodyExt, Full};
use redsync_tests::wait::until_async;
use redsync_tower::HeldLock;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tower::ServiceExt;

use crate::support::{SOON, Stage, World, fetch, head, raw, request, serve};

/// Answers with the lock, the body, and a trailer.
async fn echo(lock: HeldLock, request: Request) -> String {
    let body = request.into_body().collect().await.expect("a body");
    let sum = body
        .trailers()
        .and_then(|trailers| trailers.get("sum"))
        .cloned();
    let data = body.to_bytes();
    let data = str::from_utf8(&data).expect("text");
    format!("{} {data} {sum:?}", lock.name())
}

/// A service that takes at most eight bytes. `stage` has the requests that are under way.
async fn start(world: &World, stage: &Stage) -> SocketAddr {
    let lock = world.layer().with_body_first(8, Body::new);
    let stage = stage.clone();
    let app = Router::new()
        .route("/{id}", routing::post(echo).route_layer(lock))
        .layer(middleware::from_fn(
            move |request: Request, next: middleware::Next| {
                let on_stage = stage.step_on();
                async move {
                    let response = next.run(request).await;
                    drop(on_stage);
                    response
                }
            },
        ));
    serve(app).await
}

async fn post(address: SocketAddr, path: &str, body: &'static str) -> Response<Bytes> {
    fetch(address, request("POST", path).map(|_| Full::from(body))).await
}

/// Reads an answer to its end, which the server marks by closing the connection.
async fn rest(mut socket: TcpStream) -> String {
    let mut answer = String::new();
    let read = timeout(SOON, socket.read_to_string(&mut answer)).await;
    read.expect("an answer in time").expect("an answer");
    answer
}

#[tokio::test]
async fn a_slow_upload_holds_no_lock() {
    let (world, stage) = (World::new(), Stage::new());
    let address = start(&world, &stage).await;
    let start = "POST /1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 6\r\n\r\nslo";
    let mut slow = raw(address, start).await;
    stage.has(1).await;
    let quick = post(address, "/1", "quick").await;
    assert_eq!(
        (quick.status().as_u16(), &quick.body()[..]),
        (200, &b"1 quick None"[..])
    );
    assert!(world.is_free("1").await);
    slow.write_all(b"wly").await.unwrap();
    let answer = rest(slow).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("1 slowly None"),
        "{answer}"
    );
    world.ends_empty().await;
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413_and_locks_nothing() {
    let (world, stage) = (World::new(), Stage::new());
    let address = start(&world, &stage).await;
    let just_fits = post(address, "/1", "12345678").await;
    assert_eq!(just_fits.status(), 200);
    let tries = world.tries();
    let too_large = post(address, "/1", "123456789").await;
    assert_eq!(too_large.status(), 413);
    assert_eq!(
        too_large.headers()["content-type"],
        "application/problem+json"
    );
    let problem: serde_json::Value = serde_json::from_slice(too_large.body()).unwrap();
    assert_eq!(problem["type"], "urn:redsync:problem:too-large");
    assert_eq!(problem["title"], "The request body is too large");
    for (why, request) in [
        // None of it has to be sent.
        (
            "by its length",
            "content-length: 9\r\nexpect: 100-continue\r\n\r\n",
        ),
        // Its end need not be sent.
        (
            "by its frames",
            "transfer-encoding: chunked\r\n\r\n5\r\n12345\r\n4\r\n6789\r\n",
        ),
    ] {
        let mut socket = raw(address, format!("POST /1 HTTP/1.1\r\nhost: x\r\n{request}")).await;
        let head = head(&mut socket).await;
        assert!(head.starts_with("HTTP/1.1 413 "), "{why}: {head}");
    }
    assert_eq!(world.tries(), tries);
}

#[tokio::test]
async fn a_client_that_leaves_never_locks() {
    let (world, stage) = (World::new(), Stage::new());
    let address = start(&world, &stage).await;
    let start = "POST /1 HTTP/1.1\r\nhost: x\r\ncontent-length: 6\r\n\r\nlea";
    let leaving = raw(address, start).await;
    stage.has(1).await;
    drop(leaving);
    stage.has(0).await;
    assert_eq!((stage.begun(), world.tries()), (1, 0));
}

#[tokio::test]
async fn a_malformed_body_is_400_and_locks_nothing() {
    let (world, stage) = (World::new(), Stage::new());
    let address = start(&world, &stage).await;
    let malformed = "POST /1 HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n";
    let mut socket = raw(address, malformed).await;
    let head = head(&mut socket).await;
    assert!(head.starts_with("HTTP/1.1 400 "), "{head}");
    assert_eq!(world.tries(), 0);
}

#[tokio::test]
async fn the_handler_gets_frames_and_trailers() {
    let (world, stage) = (World::new(), Stage::new());
    let address = start(&world, &stage).await;
    let chunked = "POST /1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\
                   trailer: sum\r\n\r\n3\r\nabc\r\n3\r\ndef\r\n0\r\nsum: 7\r\n\r\n";
    let answer = rest(raw(address, chunked).await).await;
    assert!(answer.contains("1 abcdef Some(\"7\")"), "{answer}");
    world.ends_empty().await;
}

#[tokio::test]
async fn a_client_that_waits_for_100_sends_its_body_before_the_lock() {
    let (world, stage) = (World::new(), Stage::new());
    let address = start(&world, &stage).await;
    let expecting = "POST /1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 3\r\n\
                     expect: 100-continue\r\n\r\n";
    let mut socket = raw(address, expecting).await;
    let interim = head(&mut socket).await;
    assert!(interim.starts_with("HTTP/1.1 100 "), "{interim}");
    assert_eq!(world.tries(), 0);
    socket.write_all(b"abc").await.unwrap();
    let answer = rest(socket).await;
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("1 abc None"),
        "{answer}"
    );
    until_async("it has locked", SOON, async || world.tries() > 0).await;
    world.ends_empty().await;
}

/// Has an empty frame whenever it is asked, until it has been asked a million times.
struct EmptyFrames {
    left: u32,
    stopped: Arc<AtomicBool>,
}

impl http_body::Body for EmptyFrames {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.stopped.load(Relaxed) {
            return Poll::Ready(None);
        }
        self.left = self.left.checked_sub(1).expect("another task runs");
        Poll::Ready(Some(Ok(Frame::data(Bytes::new()))))
    }
}

#[tokio::test]
async fn a_body_of_empty_frames_lets_other_tasks_run() {
    let world = World::new();
    let lock = world.layer().with_body_first(8, Body::new);
    let app: Router = Router::new().route("/{id}", routing::post(echo).route_layer(lock));
    let stopped = Arc::new(AtomicBool::new(false));
    let body = EmptyFrames {
        left: 1_000_000,
        stopped: Arc::clone(&stopped),
    };
    let other = tokio::spawn(async move { stopped.store(true, Relaxed) });
    let request = http::Request::post("/1").body(Body::new(body)).unwrap();
    assert_eq!(app.oneshot(request).await.unwrap().status(), 200);
    other.await.unwrap();
    world.ends_empty().await;
}
