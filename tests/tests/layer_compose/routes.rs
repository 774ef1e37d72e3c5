//! In every place of a router.

use std::net::SocketAddr;

use axum::{Router, body::Body, routing};
use http::{Request, Response};
use redsync_tower::{HeldLock, RedlockLayer, key};
use tower::{Layer, service_fn};

use crate::support::{World, fetch, post, request, serve};

async fn name(lock: HeldLock) -> String {
    lock.name().to_owned()
}

/// Checks that what answers with the name of its lock is refused while that is locked.
async fn locks(world: &World, address: SocketAddr, path: &str, name: &str) {
    assert_eq!(post(address, path).await, (200, name.into()), "{path}");
    let guard = world.lock(name).await;
    assert_eq!(post(address, path).await.0, 409, "{path}");
    guard.release().await.unwrap();
    world.ends_empty().await;
}

async fn status(address: SocketAddr, method: &str, path: &str) -> u16 {
    let response = fetch(address, request(method, path)).await;
    response.status().as_u16()
}

#[tokio::test]
async fn a_layer_on_a_method_router_sees_only_requests_of_its_handlers() {
    let world = World::new();
    let handler = routing::post(name).route_layer(world.layer());
    let address = serve(Router::new().route("/{id}", handler)).await;
    locks(&world, address, "/1", "1").await;
    let guard = world.lock("1").await;
    assert_eq!(status(address, "PUT", "/1").await, 405);
    assert_eq!(status(address, "POST", "/1/2").await, 404);
    guard.release().await.unwrap();
}

#[tokio::test]
async fn a_layer_on_the_routes_of_a_router_sees_wrong_methods() {
    let world = World::new();
    let app = Router::new().route("/{id}", routing::post(name));
    let address = serve(app.route_layer(world.layer())).await;
    locks(&world, address, "/1", "1").await;
    assert_eq!(status(address, "PUT", "/1").await, 405);
    assert_eq!(status(address, "POST", "/1/2").await, 404);
    let guard = world.lock("1").await;
    assert_eq!(status(address, "PUT", "/1").await, 409);
    assert_eq!(status(address, "POST", "/1/2").await, 404);
    guard.release().await.unwrap();
    world.ends_empty().await;
}

#[tokio::test]
async fn a_layer_on_a_router_sees_all_requests() {
    let world = World::new();
    let app = Router::new().route("/{id}", routing::post(name));
    let by_path = |request: &Request<_>| request.uri().path().to_owned();
    let lock = RedlockLayer::new(world.redsync.clone(), by_path);
    let address = serve(app.layer(lock)).await;
    locks(&world, address, "/1", "/1").await;
    assert_eq!(status(address, "PUT", "/1").await, 405);
    assert_eq!(status(address, "POST", "/1/2").await, 404);
    let guard = world.lock("/1/2").await;
    assert_eq!(status(address, "POST", "/1/2").await, 409);
    guard.release().await.unwrap();
    world.ends_empty().await;
}

#[tokio::test]
async fn a_layer_on_a_router_has_the_path_parameters() {
    let world = World::new();
    let app = Router::new().route("/{id}", routing::post(name));
    let address = serve(app.layer(world.layer())).await;
    locks(&world, address, "/1", "1").await;
}

#[tokio::test]
async fn a_layer_works_in_a_nested_router_and_around_it() {
    let world = World::new();
    let lock = RedlockLayer::new(world.redsync.clone(), key::path("{shop}:{order}"));
    let inside = Router::new().route("/{order}", routing::post(name).route_layer(lock));
    let lock = RedlockLayer::new(world.redsync.clone(), key::path("in {shop}"));
    let outside = Router::new().route("/{order}", routing::post(name));
    let outside = Router::new().nest("/{shop}", outside).route_layer(lock);
    let app = Router::new()
        .nest("/inside/{shop}", inside)
        .nest("/outside", outside);
    let address = serve(app).await;
    locks(&world, address, "/inside/a/1", "a:1").await;
    locks(&world, address, "/outside/a/1", "in a").await;
}

#[tokio::test]
async fn a_layer_works_in_a_nested_service() {
    let world = World::new();
    let service = service_fn(async |request: Request<Body>| {
        let lock = request.extensions().get::<HeldLock>().expect("a lock");
        Ok::<_, std::convert::Infallible>(Response::new(Body::from(lock.name().to_owned())))
    });
    let lock = RedlockLayer::new(world.redsync.clone(), key::path("{shop}"));
    let app = Router::new().nest_service("/{shop}", lock.layer(service));
    let address = serve(app).await;
    locks(&world, address, "/a/whatever", "a").await;
}

#[tokio::test]
async fn a_merged_router_keeps_its_own_layer() {
    let world = World::new();
    let locked = Router::new().route("/locked/{id}", routing::post(name));
    let free = Router::new().route("/free/{id}", routing::post(async || "free"));
    let app = free.merge(locked.route_layer(world.layer()));
    let address = serve(app).await;
    locks(&world, address, "/locked/1", "1").await;
    let guard = world.lock("1").await;
    assert_eq!(post(address, "/free/1").await, (200, "free".into()));
    guard.release().await.unwrap();
}

#[tokio::test]
async fn a_layer_works_on_a_fallback() {
    let world = World::new();
    let by_path = |request: &Request<_>| request.uri().path().to_owned();
    let lock = RedlockLayer::new(world.redsync.clone(), by_path);
    let app = Router::new()
        .route("/free", routing::post(async || "free"))
        .fallback_service(routing::post(name).layer(lock));
    let address = serve(app).await;
    locks(&world, address, "/any/thing", "/any/thing").await;
    let guard = world.lock("/free").await;
    assert_eq!(post(address, "/free").await, (200, "free".into()));
    guard.release().await.unwrap();
}
