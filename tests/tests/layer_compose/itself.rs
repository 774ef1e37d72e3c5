//! A handler that calls its own service over HTTP, for what it has locked itself.

use std::{
    net::SocketAddr,
    sync::{Arc, OnceLock},
    time::{Duration, Instant},
};

use axum::{
    Router,
    extract::Path,
    response::{IntoResponse, Response},
    routing,
};
use redsync_tower::{RedlockLayer, key::PathKey};

use crate::support::{SOON, World, post, serve};

/// Calls the path it is told to, and answers with what it was answered.
async fn call(address: SocketAddr, path: &str) -> Response {
    let started = Instant::now();
    let (status, body) = post(address, path).await;
    format!(
        "{status} after {} ms: {body}",
        started.elapsed().as_millis()
    )
    .into_response()
}

/// A service whose `/{id}` calls `/{id}/inner`, which locks the same.
async fn nested(world: &World, lock: impl Fn(&World) -> RedlockLayer<PathKey>) -> SocketAddr {
    let own = Arc::new(OnceLock::new());
    let outer = {
        let own = Arc::clone(&own);
        async move |Path(id): Path<String>| {
            let address = *own.get().expect("it is served");
            call(address, &format!("/{id}/inner")).await
        }
    };
    let app = Router::new()
        .route("/{id}", routing::post(outer).route_layer(lock(world)))
        .route(
            "/{id}/inner",
            routing::post(async || "done").route_layer(lock(world)),
        );
    let address = serve(app).await;
    own.set(address).expect("once");
    address
}

#[tokio::test]
async fn a_request_that_calls_its_own_route_is_refused_at_once() {
    let world = World::new();
    let address = nested(&world, World::layer).await;
    let started = Instant::now();
    let (status, body) = post(address, "/1").await;
    assert_eq!(status, 200);
    assert!(body.starts_with("409 after "), "{body}");
    assert!(body.contains("urn:redsync:problem:taken"), "{body}");
    assert!(started.elapsed() < SOON);
    world.ends_empty().await;
}

#[tokio::test]
async fn a_request_that_calls_its_own_route_waits_up_to_its_limit() {
    let world = World::new();
    let limit = Duration::from_millis(400);
    let address = nested(&world, |world| world.layer().with_wait(limit)).await;
    let (status, body) = post(address, "/1").await;
    assert_eq!(status, 200);
    let after = body.strip_prefix("423 after ").expect(&body);
    let (after, body) = after.split_once(" ms: ").expect("what it was answered");
    let after: u64 = after.parse().expect("a number");
    assert!((400..20_000).contains(&after), "{after}");
    assert!(body.contains("urn:redsync:problem:timed-out"), "{body}");
    // And nobody is locked out by it.
    assert_eq!(post(address, "/1/inner").await, (200, "done".into()));
    world.ends_empty().await;
}
