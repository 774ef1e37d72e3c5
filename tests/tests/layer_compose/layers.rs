//! With the layers of tower-http, outside and inside.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, routing};
use http::{Response, StatusCode, header};
use redsync_tower::HoldUntil;
use tower::ServiceBuilder;
use tower_http::{
    catch_panic::CatchPanicLayer, compression::CompressionLayer, cors::CorsLayer,
    timeout::TimeoutLayer, trace::TraceLayer,
};

use crate::support::{Stage, World, fetch, post, request, serve};

const SHORT: Duration = Duration::from_millis(50);

fn timeout() -> TimeoutLayer {
    TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, SHORT)
}

#[tokio::test]
async fn a_timeout_outside_ends_the_work_and_its_lock() {
    let (world, stage) = (World::new(), Stage::new());
    let playing = stage.clone();
    let handler = routing::post(async move || playing.play().await);
    let app = Router::new()
        .route("/{id}", handler.route_layer(world.layer()))
        .layer(timeout());
    let address = serve(app).await;
    assert_eq!(post(address, "/1").await.0, 504);
    assert_eq!((stage.begun(), stage.now()), (1, 0));
    world.until_free("1").await;
    world.ends_empty().await;
}

#[tokio::test]
async fn a_timeout_outside_ends_the_wait() {
    let (world, stage) = (World::new(), Stage::new());
    let guard = world.lock("1").await;
    let playing = stage.clone();
    let handler = routing::post(async move || playing.play().await);
    let lock = world.layer().with_wait(crate::support::LONG);
    let app = Router::new()
        .route("/{id}", handler.route_layer(lock))
        .layer(timeout());
    let address = serve(app).await;
    assert_eq!(post(address, "/1").await.0, 504);
    guard.release().await.unwrap();
    world.until_free("1").await;
    world.ends_empty().await;
    assert_eq!(stage.begun(), 0);
}

#[tokio::test]
async fn a_timeout_inside_is_an_ordinary_response() {
    let (world, stage) = (World::new(), Stage::new());
    let playing = stage.clone();
    let handler = routing::post(async move || playing.play().await);
    let handler = handler.layer(timeout()).route_layer(world.layer());
    let address = serve(Router::new().route("/{id}", handler)).await;
    assert_eq!(post(address, "/1").await.0, 504);
    assert!(world.is_free("1").await, "before the answer");
    world.ends_empty().await;
}

#[tokio::test]
async fn a_panic_that_is_caught_releases() {
    let world = World::new();
    let panics = || routing::post(async || -> &'static str { panic!("as this test wants it") });
    let outside = panics()
        .route_layer(world.layer())
        .layer(CatchPanicLayer::new());
    let inside = panics()
        .layer(CatchPanicLayer::new())
        .route_layer(world.layer());
    let app = Router::new()
        .route("/outside/{id}", outside)
        .route("/inside/{id}", inside);
    let address = serve(app).await;
    assert_eq!(post(address, "/inside/1").await.0, 500);
    assert!(world.is_free("1").await, "before the answer");
    assert_eq!(post(address, "/outside/2").await.0, 500);
    world.until_free("2").await;
    world.ends_empty().await;
}

#[tokio::test]
async fn a_trace_sees_answers_and_refusals() {
    let world = World::new();
    let seen = [(); 2].map(|()| Arc::new(Mutex::new(Vec::new())));
    let [outside, inside] = seen.each_ref().map(|seen| {
        let seen = Arc::clone(seen);
        let see = move |response: &Response<_>, _: Duration, _: &tracing::Span| {
            seen.lock().unwrap().push(response.status().as_u16());
        };
        TraceLayer::new_for_http().on_response(see)
    });
    let handler = routing::post(async || "done").layer(inside);
    let lock = world.layer().with_hold_until(HoldUntil::BodyEnd);
    let app = Router::new()
        .route("/{id}", handler.route_layer(lock))
        .layer(outside);
    let address = serve(app).await;
    assert_eq!(post(address, "/1").await, (200, "done".into()));
    let guard = world.lock("1").await;
    assert_eq!(post(address, "/1").await.0, 409);
    assert_eq!(*seen[0].lock().unwrap(), [200, 409]);
    assert_eq!(*seen[1].lock().unwrap(), [200]);
    guard.release().await.unwrap();
    world.ends_empty().await;
}

#[tokio::test]
async fn cors_outside_marks_refusals_and_answers_preflights_itself() {
    let world = World::new();
    let handler = routing::post(async || "done").route_layer(world.layer());
    let app = Router::new()
        .route("/{id}", handler)
        .layer(CorsLayer::permissive().expose_headers([header::RETRY_AFTER]));
    let address = serve(app).await;
    let guard = world.lock("1").await;
    let mut refused = request("POST", "/1");
    let origin = "https://example.org".parse().unwrap();
    refused.headers_mut().insert(header::ORIGIN, origin);
    let refused = fetch(address, refused).await;
    assert_eq!(refused.status(), 409);
    let headers = refused.headers();
    assert_eq!(headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
    assert!(headers.contains_key(header::RETRY_AFTER));
    assert_eq!(
        headers[header::ACCESS_CONTROL_EXPOSE_HEADERS],
        "retry-after"
    );

    let mut preflight = request("OPTIONS", "/1");
    for (name, value) in [
        (header::ORIGIN, "https://example.org"),
        (header::ACCESS_CONTROL_REQUEST_METHOD, "POST"),
    ] {
        preflight.headers_mut().insert(name, value.parse().unwrap());
    }
    let preflight = fetch(address, preflight).await;
    assert_eq!(preflight.status(), 200, "though it is locked");
    guard.release().await.unwrap();
    world.ends_empty().await;
}

#[tokio::test]
async fn compression_outside_takes_bodies_that_hold_a_lock_and_refusals() {
    let world = World::new();
    let lock = world.layer().with_hold_until(HoldUntil::BodyEnd);
    let text = || async { "the same again and again, ".repeat(1000) };
    let app = Router::new()
        .route("/{id}", routing::post(text).route_layer(lock))
        .layer(CompressionLayer::new());
    let address = serve(app).await;
    let gzip = || {
        let mut request = request("POST", "/1");
        let encoding = "gzip".parse().unwrap();
        request
            .headers_mut()
            .insert(header::ACCEPT_ENCODING, encoding);
        request
    };
    let response = fetch(address, gzip()).await;
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
    assert!(response.body().starts_with(&[0x1f, 0x8b]));
    // The last four bytes are the length of what was compressed.
    assert!(response.body().ends_with(&26_000_u32.to_le_bytes()));
    world.until_free("1").await;

    let guard = world.lock("1").await;
    let refused = fetch(address, gzip()).await;
    assert_eq!(refused.status(), 409);
    let headers = refused.headers();
    assert_eq!(headers[header::CONTENT_ENCODING], "gzip");
    assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
    assert!(refused.body().starts_with(&[0x1f, 0x8b]));
    guard.release().await.unwrap();
    world.ends_empty().await;
}

#[tokio::test]
async fn all_of_these_layers_work_in_one_stack() {
    let (world, stage) = (World::new(), Stage::new());
    let playing = stage.clone();
    let handler = routing::post(async move || {
        playing.play().await;
        "done"
    });
    let stack = ServiceBuilder::new()
        .layer(TraceLayer::new_for_http())
        .layer(CatchPanicLayer::new())
        .layer(CorsLayer::permissive())
        .layer(CompressionLayer::new())
        .layer(TimeoutLayer::with_status_code(
            StatusCode::GATEWAY_TIMEOUT,
            crate::support::LONG,
        ))
        .layer(world.layer().with_hold_until(HoldUntil::BodyEnd));
    let app = Router::new().route("/{id}", handler).layer(stack);
    let address = serve(app).await;
    let first = tokio::spawn(post(address, "/1"));
    stage.has(1).await;
    assert_eq!(post(address, "/1").await.0, 409);
    stage.let_go(1);
    assert_eq!(first.await.unwrap(), (200, "done".into()));
    world.until_free("1").await;
    world.ends_empty().await;
}
