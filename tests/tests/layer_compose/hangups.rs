//! Clients of HTTP/1 that hang up with something unread.

use std::{net::SocketAddr, time::Duration};

use axum::{Router, extract::Request, routing};
use http::StatusCode;
use redsync_tests::wait::until_async;
use redsync_tower::{RedlockLayer, key};
use tower_http::timeout::TimeoutLayer;

use crate::support::{SOON, Stage, World, raw, serve};

const LIMIT: Duration = Duration::from_secs(1);

/// With handlers that drop the request, keep it unread, or have read it.
fn app(lock: &RedlockLayer<key::PathKey>, stage: &Stage) -> Router {
    let [dropping, keeping, reading] = [(); 3].map(|()| stage.clone());
    let dropping = routing::post(async move || dropping.play().await);
    let keeping = routing::post(async move |request: Request| {
        keeping.play().await;
        drop(request);
    });
    let reading = routing::post(async move |_body: String| reading.play().await);
    Router::new()
        .route("/dropping/{id}", dropping.route_layer(lock.clone()))
        .route("/keeping/{id}", keeping.route_layer(lock.clone()))
        .route("/reading/{id}", reading.route_layer(lock.clone()))
}

async fn start(world: &World, stage: &Stage) -> SocketAddr {
    serve(app(&world.layer(), stage)).await
}

async fn hang_up(path: &str, rest: &str) {
    let (world, stage) = (World::new(), Stage::new());
    let address = start(&world, &stage).await;
    let head = format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: ");
    let client = raw(address, head + rest).await;
    stage.has(1).await;
    assert!(!world.is_free("1").await);
    drop(client);
    world.until_free("1").await;
    assert_eq!(stage.now(), 0);
    world.ends_empty().await;
}

#[tokio::test]
async fn hanging_up_after_the_request_frees_the_lock() {
    hang_up("/reading/1", "4\r\n\r\nbody").await;
    hang_up("/keeping/1", "0\r\n\r\n").await;
}

#[tokio::test]
async fn hanging_up_after_an_unread_body_was_dropped_frees_the_lock() {
    hang_up("/dropping/1", "4\r\n\r\nbody").await;
}

#[tokio::test]
async fn hanging_up_while_an_unread_body_is_kept_frees_the_lock() {
    hang_up("/keeping/1", "4\r\n\r\nbody").await;
}

#[tokio::test]
async fn hanging_up_in_the_middle_of_the_body_frees_the_lock() {
    let (world, stage) = (World::new(), Stage::new());
    let address = start(&world, &stage).await;
    let head = "POST /reading/1 HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n";
    let client = raw(address, format!("{head}body")).await;
    until_async("it is locked", SOON, async || !world.is_empty()).await;
    drop(client);
    world.until_free("1").await;
    assert_eq!(stage.begun(), 0);
    world.ends_empty().await;
}

/// What hyper does not notice: it reads no more while it has bytes of the next request, or of a
/// body that nobody asks for. A limit of time ends those.
const UNNOTICED: [&str; 3] = [
    "/reading/1 HTTP/1.1\r\nhost: x\r\n\r\nGET /keeping/2 HTTP/1.1\r\nhost: x\r\n\r\n",
    "/dropping/1 HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\nbody",
    "/keeping/1 HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\nbody",
];

async fn hang_up_unnoticed(world: &World, stage: &Stage, address: SocketAddr) {
    for (number, request) in UNNOTICED.into_iter().enumerate() {
        let client = raw(address, format!("POST {request}")).await;
        until_async("the handler works", SOON, async || {
            stage.begun() == number + 1
        })
        .await;
        drop(client);
        world.until_free("1").await;
        stage.has(0).await;
    }
    world.ends_empty().await;
}

#[tokio::test]
async fn a_timeout_ends_a_request_whose_client_hung_up_unnoticed() {
    let (world, stage) = (World::new(), Stage::new());
    let timeout = TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, LIMIT);
    let app = app(&world.layer(), &stage).layer(timeout);
    hang_up_unnoticed(&world, &stage, serve(app).await).await;
}

#[tokio::test]
async fn a_maximum_hold_ends_a_request_whose_client_hung_up_unnoticed() {
    let (world, stage) = (World::new(), Stage::new());
    let redsync = world.redsync.clone();
    let redsync = redsync.with_defaults(|mutex| mutex.with_expiry(LIMIT).with_max_hold(LIMIT));
    let lock = RedlockLayer::new(redsync.unwrap(), key::path("{id}"));
    let app = app(&lock, &stage);
    hang_up_unnoticed(&world, &stage, serve(app).await).await;
}
