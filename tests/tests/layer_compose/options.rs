//! Layers that may be there or not, and several of them.

use axum::{Router, body::Body, routing};
use redsync_tower::{RedlockLayer, key};
use tower::{ServiceBuilder, util::option_layer};
use tower_http::map_response_body::MapResponseBodyLayer;

use crate::support::{Stage, World, post, serve};

#[tokio::test]
async fn an_optional_layer_locks_if_it_is_there() {
    for there in [true, false] {
        let world = World::new();
        // The bodies of both ways have to be of one type.
        let lock = there.then(|| (MapResponseBodyLayer::new(Body::new), world.layer()));
        let by_function = routing::post(async || "done").route_layer(option_layer(lock.clone()));
        let by_builder = ServiceBuilder::new().option_layer(lock);
        let by_builder = routing::post(async || "done").route_layer(by_builder);
        let app = Router::new()
            .route("/function/{id}", by_function)
            .route("/builder/{id}", by_builder);
        let address = serve(app).await;
        let guard = world.lock("1").await;
        let expected = if there { 409 } else { 200 };
        for path in ["/function/1", "/builder/1"] {
            assert_eq!(post(address, path).await.0, expected, "{path}");
        }
        guard.release().await.unwrap();
        for path in ["/function/1", "/builder/1"] {
            assert_eq!(post(address, path).await, (200, "done".into()), "{path}");
        }
        world.ends_empty().await;
    }
}

#[tokio::test]
async fn two_layers_hold_two_locks() {
    let (world, stage) = (World::new(), Stage::new());
    let layer = |template| RedlockLayer::new(world.redsync.clone(), key::path(template));
    let playing = stage.clone();
    let handler = routing::post(async move || playing.play().await);
    let handler = handler
        .route_layer(layer("order:{order}"))
        .route_layer(layer("shop:{shop}"));
    let address = serve(Router::new().route("/{shop}/{order}", handler)).await;

    let first = tokio::spawn(post(address, "/a/1"));
    stage.has(1).await;
    for name in ["shop:a", "order:1"] {
        assert!(!world.is_free(name).await, "{name}");
    }
    for path in ["/a/2", "/b/1"] {
        assert_eq!(post(address, path).await.0, 409, "{path}");
    }
    for name in ["shop:b", "order:2"] {
        assert!(world.is_free(name).await, "{name} is not left behind");
    }
    let second = tokio::spawn(post(address, "/b/2"));
    stage.has(2).await;
    stage.let_go(2);
    assert_eq!(first.await.unwrap().0, 200);
    assert_eq!(second.await.unwrap().0, 200);
    world.ends_empty().await;
}

#[tokio::test]
async fn two_layers_of_one_lock_are_one() {
    let world = World::new();
    let handler = routing::post(async || "done").route_layer(world.layer());
    let app = Router::new()
        .route("/{id}", handler)
        .route_layer(world.layer())
        .layer(world.layer());
    let address = serve(app).await;
    assert_eq!(post(address, "/1").await, (200, "done".into()));
    world.ends_empty().await;
}
