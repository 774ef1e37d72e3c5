//! All that the layer answers and says.

use std::time::Duration;

use axum::{Router, body::Body, extract::State, routing::post};
use http::{Request, Response, header};
use http_body_util::BodyExt;
use redsync::Redsync;
use redsync_tests::{Servers, wait::until_async};
use redsync_tower::{HeldLock, LockRejection, RedlockLayer, key};
use tower::ServiceExt;
use tracing::Span;

use crate::{SOON, log::Log, until_quiet};

const NAME: &str = "order:1";

fn layer(redsync: &Redsync, log: &Log) -> RedlockLayer<key::PathKey> {
    shown(
        RedlockLayer::new(redsync.clone(), key::path("order:{id}")),
        log,
    )
}

/// The layer with all that shows something of its locks.
pub(crate) fn shown<K>(layer: RedlockLayer<K>, log: &Log) -> RedlockLayer<K> {
    let (refused, lost) = (log.clone(), log.clone());
    layer
        .with_fencing(true)
        .with_logged_holders(true)
        .with_outage_attempts(1)
        .on_refused(move |rejection: &LockRejection, _: Duration, span: &Span| {
            refused.note_debug(rejection);
            refused.note_debug(span);
        })
        .on_lost(move |name: &str, _: Duration, span: &Span| {
            lost.note(name);
            lost.note_debug(span);
        })
}

/// Shows its lock, and takes as long as it is asked to.
async fn handler(State(log): State<Log>, held: HeldLock, request: Request<Body>) -> String {
    log.note_debug(&held);
    log.note_debug(&request);
    let millis = request.uri().query().and_then(|query| query.parse().ok());
    tokio::time::sleep(Duration::from_millis(millis.unwrap_or(0))).await;
    format!("{held:?}")
}

fn app(layer: RedlockLayer<key::PathKey>, log: &Log) -> Router {
    log.note_debug(&layer);
    let route = post(handler).route_layer(layer);
    Router::new()
        .route("/orders/{id}", route)
        .with_state(log.clone())
}

async fn send(app: &Router, uri: &str, kind: &str, log: &Log) -> u16 {
    let request = Request::post(uri)
        .header(header::ACCEPT, kind)
        .header(header::CONTENT_TYPE, kind);
    let request = request.body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    show(response, log).await
}

async fn show(response: Response<Body>, log: &Log) -> u16 {
    let status = response.status().as_u16();
    log.note_debug(&response);
    if let Some(rejection) = response.extensions().get::<LockRejection>() {
        log.note_error(rejection);
    }
    log.note(&format!("{:?}", response.extensions()));
    let body = response.into_body().collect().await.unwrap();
    log.note_debug(&body.trailers());
    log.note(&String::from_utf8_lossy(&body.to_bytes()));
    status
}

/// On servers that work.
pub(crate) async fn live(redsync: &Redsync, servers: &Servers, log: &Log) {
    let layer = layer(redsync, log);
    let at_once = app(layer.clone(), log);
    assert_eq!(send(&at_once, "/orders/1", "*/*", log).await, 200);

    let guard = redsync.mutex(NAME).lock_within(SOON).await.unwrap();
    let waiting = app(layer.clone().with_wait(Duration::from_millis(100)), log);
    for kind in ["*/*", "text/plain", "application/grpc"] {
        send(&at_once, "/orders/1", kind, log).await;
        send(&waiting, "/orders/1", kind, log).await;
    }
    guard.release().await.unwrap();

    // It is lost.
    let expiry = Duration::from_secs(1);
    let losing = app(layer.with_expiry(expiry).with_wait(SOON), log);
    let lost = send(&losing, "/orders/1?30000", "*/*", log);
    let (status, ()) = tokio::join!(lost, lose_when_held(NAME, servers));
    assert_eq!(status, 500);
    redsync.drain().await;
    until_quiet(servers).await;
}

/// Takes a lock away from a handler.
pub(crate) async fn lose_when_held(name: &str, servers: &Servers) {
    until_async("the handler has it", SOON, async || {
        servers.iter().all(|server| server.get(name).is_some())
    })
    .await;
    for server in servers {
        server.command(&["DEL", name]);
    }
}

/// When no server is left.
pub(crate) async fn in_an_outage(redsync: &Redsync, log: &Log) {
    let app = app(layer(redsync, log), log);
    assert_eq!(send(&app, "/orders/1", "*/*", log).await, 503);
}
