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
