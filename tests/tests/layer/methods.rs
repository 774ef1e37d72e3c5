//! Which methods lock.

use axum::{Router, body::Body, routing};
use http::{Method, StatusCode};
use redsync_tower::{RedlockLayer, key};

use crate::support::{Nodes, request, send};

fn app(layer: RedlockLayer<key::PathKey>) -> Router {
    let handler = routing::any(|| async { Body::empty() }).layer(layer);
    Router::new().route("/orders/{id}", handler)
}

/// The methods that are locked out while the lock is held.
async fn locked(nodes: &Nodes, app: &Router) -> Vec<Method> {
    let _guard = nodes.redsync().mutex("order:1").lock().await.unwrap();
    let mut locked = Vec::new();
    for method in [
        Method::GET,
        Method::HEAD,
        Method::OPTIONS,
        Method::TRACE,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::from_bytes(b"PURGE").unwrap(),
    ] {
        let tries = nodes.tries();
        match send(app, request(method.clone(), "/orders/1"))
            .await
            .status()
        {
            StatusCode::OK => assert_eq!(nodes.tries(), tries, "{method} passes unlocked"),
            StatusCode::CONFLICT => locked.push(method),
            status => panic!("{method}: {status}"),
        }
    }
    locked
}

#[tokio::test]
async fn safe_methods_pass() {
    let nodes = Nodes::new();
    let layer = RedlockLayer::new(nodes.redsync(), key::path("order:{id}"));
    let locked = locked(&nodes, &app(layer)).await;
    let purge = Method::from_bytes(b"PURGE").unwrap();
    let all = [
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        purge,
    ];
    assert_eq!(locked, all);
}

#[tokio::test]
async fn methods_can_be_chosen() {
    let nodes = Nodes::new();
    let layer = RedlockLayer::new(nodes.redsync(), key::path("order:{id}"))
        .with_methods(|method| method == Method::GET || method == Method::DELETE);
    let locked = locked(&nodes, &app(layer)).await;
    assert_eq!(locked, [Method::GET, Method::DELETE]);
}

#[tokio::test]
async fn a_request_that_passes_needs_no_key() {
    let nodes = Nodes::new();
    let app = app(RedlockLayer::new(nodes.redsync(), key::path("item:{sku}")));
    for (method, status) in [
        (Method::GET, StatusCode::OK),
        (Method::POST, StatusCode::INTERNAL_SERVER_ERROR),
    ] {
        let response = send(&app, request(method, "/orders/1")).await;
        assert_eq!(response.status(), status);
    }
}

/// The status of a request that finds its lock taken, if it asks for a lock.
async fn status(app: &Router, method: Method, upgrade: &'static str) -> StatusCode {
    let mut request = request(method, "/orders/1");
    let upgrade = http::HeaderValue::from_static(upgrade);
    request.headers_mut().insert(http::header::UPGRADE, upgrade);
    send(app, request).await.status()
}

#[tokio::test]
async fn a_request_for_a_websocket_locks_although_it_is_a_get() {
    let nodes = Nodes::new();
    let app = app(RedlockLayer::new(nodes.redsync(), key::path("order:{id}")));
    let _guard = nodes.redsync().mutex("order:1").lock().await.unwrap();
    for upgrade in ["websocket", "WebSocket", "h2c, websocket"] {
        let status = status(&app, Method::GET, upgrade).await;
        assert_eq!(status, StatusCode::CONFLICT, "{upgrade}");
    }
    // In HTTP/2.
    let status_of_connect = status(&app, Method::CONNECT, "").await;
    assert_eq!(status_of_connect, StatusCode::CONFLICT);
    for upgrade in ["h2c", "websockets", ""] {
        let status = status(&app, Method::GET, upgrade).await;
        assert_eq!(status, StatusCode::OK, "{upgrade}");
    }
    let preflight = status(&app, Method::OPTIONS, "websocket").await;
    assert_eq!(preflight, StatusCode::OK);
}

#[tokio::test]
async fn a_websocket_is_no_shared_read() {
    let nodes = Nodes::new();
    let layer = RedlockLayer::new(nodes.redsync(), key::path("order:{id}"));
    let app = app(layer.with_shared_reads(true));
    let shared = nodes.redsync().mutex("order:1").shared();
    let _guard = shared.lock().await.unwrap();
    assert_eq!(status(&app, Method::GET, "").await, StatusCode::OK);
    let socket = status(&app, Method::GET, "websocket").await;
    assert_eq!(socket, StatusCode::CONFLICT);
}

#[tokio::test]
async fn methods_that_were_chosen_decide_for_websockets_too() {
    let nodes = Nodes::new();
    let layer = RedlockLayer::new(nodes.redsync(), key::path("order:{id}"));
    let app = app(layer.with_methods(|method| method == Method::PUT));
    let _guard = nodes.redsync().mutex("order:1").lock().await.unwrap();
    let socket = status(&app, Method::GET, "websocket").await;
    assert_eq!(socket, StatusCode::OK);
}

/// The docs say so, and what to write instead.
#[tokio::test]
#[should_panic(expected = "route_layer")]
async fn a_route_layer_on_any_panics_when_the_router_is_built() {
    let nodes = Nodes::new();
    let layer = RedlockLayer::new(nodes.redsync(), key::path("order:{id}"));
    let _: Router = Router::new().route(
        "/orders/{id}",
        routing::any(async || "done").route_layer(layer),
    );
}
