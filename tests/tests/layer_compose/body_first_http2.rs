//! Bodies that are read before the lock is acquired, of many streams on one connection of HTTP/2.

use std::future::poll_fn;

use axum::{
    Router,
    body::Body,
    extract::Request,
    middleware::{self, Next},
    routing,
};
use bytes::Bytes;
use futures_util::future::join_all;
use h2::{Reason, SendStream, client::ResponseFuture};
use http::{HeaderMap, request::Builder};
use http_body_util::BodyExt;
use redsync_tower::HeldLock;
use tokio::time::timeout;

use crate::support::{Http2, LONG, SOON, Stage, World, serve};

/// Answers with the lock, the length of the body, and a trailer.
async fn measure(lock: HeldLock, request: Request) -> String {
    let body = request.into_body().collect().await.expect("a body");
    let sum = body.trailers().and_then(|trailers| trailers.get("sum"));
    let sum = sum.map(|sum| sum.to_str().expect("text").to_owned());
    format!("{} {} {sum:?}", lock.name(), body.to_bytes().len())
}

/// A client of a service that reads up to this many bytes. `stage` has the requests that are under
/// way.
async fn start(world: &World, stage: &Stage, bytes: usize) -> Http2 {
    let lock = world
        .layer()
        .with_wait(LONG)
        .with_body_first(bytes, Body::new);
    let stage = stage.clone();
    let app = Router::new()
        .route("/{id}", routing::post(measure).route_layer(lock))
        .layer(middleware::from_fn(move |request: Request, next: Next| {
            let on_stage = stage.step_on();
            async move {
                let response = next.run(request).await;
                drop(on_stage);
                response
            }
        }));
    Http2::connect(serve(app).await).await
}

fn post() -> Builder {
    Request::builder().method("POST")
}

async fn begin(client: &Http2, path: &str) -> (ResponseFuture, SendStream<Bytes>) {
    client.begin(post(), path, false).await
}

async fn answer(response: ResponseFuture) -> (u16, String) {
    let answer = async {
        let response = response.await.expect("an answer");
        let (status, mut body) = (response.status().as_u16(), response.into_body());
        let mut text = Vec::new();
        while let Some(data) = body.data().await {
            text.extend_from_slice(&data.expect("a body"));
        }
        (status, String::from_utf8(text).expect("text"))
    };
    timeout(SOON, answer).await.expect("an answer in time")
}

fn text(body: &str) -> (u16, String) {
    (200, body.to_owned())
}

#[tokio::test]
async fn a_slow_upload_holds_neither_the_lock_nor_other_streams() {
    let (world, stage) = (World::new(), Stage::new());
    let client = start(&world, &stage, 8).await;
    let (slow, mut upload) = begin(&client, "/1").await;
    upload.send_data("slo".into(), false).unwrap();
    stage.has(1).await;
    for _ in 0..3 {
        let (quick, mut body) = begin(&client, "/1").await;
        body.send_data("quick".into(), true).unwrap();
        assert_eq!(answer(quick).await, text("1 5 None"));
    }
    assert!(world.is_free("1").await);
    let mut sum = HeaderMap::new();
    sum.insert("sum", "7".parse().unwrap());
    upload.send_data("wly".into(), false).unwrap();
    upload.send_trailers(sum).unwrap();
    assert_eq!(answer(slow).await, text("1 6 Some(\"7\")"));
    world.ends_empty().await;
}

#[tokio::test]
async fn a_stream_that_is_reset_while_its_body_is_read_never_locks() {
    let (world, stage) = (World::new(), Stage::new());
    let client = start(&world, &stage, 8).await;
    for (number, reason) in [(1, Reason::CANCEL), (2, Reason::INTERNAL_ERROR)] {
        let (_response, mut upload) = begin(&client, "/1").await;
        upload.send_data("lea".into(), false).unwrap();
        stage.has(1).await;
        upload.send_reset(reason);
        stage.has(0).await;
        assert_eq!((stage.begun(), world.tries()), (number, 0));
    }
    // One that breaks the promise of its length.
    let request = post().header("content-length", "6");
    let (response, mut upload) = client.begin(request, "/1", false).await;
    upload.send_data("lea".into(), false).unwrap();
    stage.has(1).await;
    upload.send_data(Bytes::new(), true).unwrap();
    stage.has(0).await;
    assert_ne!(
        timeout(SOON, response)
            .await
            .unwrap()
            .ok()
            .map(|it| it.status().as_u16()),
        Some(200)
    );
    assert_eq!(world.tries(), 0);
    // The others go on.
    let (next, mut body) = begin(&client, "/1").await;
    body.send_data("next".into(), true).unwrap();
    assert_eq!(answer(next).await, text("1 4 None"));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_413_before_its_end_and_locks_nothing() {
    let (world, stage) = (World::new(), Stage::new());
    let client = start(&world, &stage, 8).await;
    let declared = post().header("content-length", "9");
    let (by_length, _upload) = client.begin(declared, "/1", false).await;
    assert_eq!(answer(by_length).await.0, 413);
    let (by_frames, mut upload) = begin(&client, "/1").await;
    upload.send_data("12345".into(), false).unwrap();
    upload.send_data("6789".into(), false).unwrap();
    assert_eq!(answer(by_frames).await.0, 413);
    assert_eq!(world.tries(), 0);
    let (next, mut body) = begin(&client, "/1").await;
    body.send_data("12345678".into(), true).unwrap();
    assert_eq!(answer(next).await, text("1 8 None"));
    stage.has(0).await;
}

/// Sends a body as fast as the flow control lets it.
async fn upload(mut stream: SendStream<Bytes>, mut left: usize) {
    while left > 0 {
        stream.reserve_capacity(left);
        let capacity = poll_fn(|cx| stream.poll_capacity(cx)).await;
        let now = left.min(capacity.expect("open").expect("a window"));
        left -= now;
        stream.send_data(vec![b'x'; now].into(), left == 0).unwrap();
    }
}

#[tokio::test]
async fn requests_that_wait_for_the_lock_have_been_read_and_hold_up_no_other_stream() {
    const STREAMS: usize = 30;
    // All together are several times the window of a connection.
    const LENGTH: usize = 200 * 1024;
    let (world, stage) = (World::new(), Stage::new());
    let guard = world.lock("1").await;
    let client = start(&world, &stage, LENGTH).await;
    let (mut responses, mut uploads) = (Vec::new(), Vec::new());
    for _ in 0..STREAMS {
        let (response, stream) = begin(&client, "/1").await;
        responses.push(response);
        uploads.push(upload(stream, LENGTH));
    }
    timeout(SOON, join_all(uploads))
        .await
        .expect("all are read");
    assert_eq!(stage.now(), STREAMS);
    let (other, stream) = begin(&client, "/2").await;
    upload(stream, LENGTH).await;
    assert_eq!(answer(other).await, text("2 204800 None"));
    guard.release().await.unwrap();
    for response in responses {
        assert_eq!(answer(response).await, text("1 204800 None"));
    }
    world.ends_empty().await;
}
