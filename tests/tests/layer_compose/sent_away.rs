//! At the begin of a shutdown, requests that wait for their locks are sent away.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Router,
    extract::Request,
    middleware::{self, Next},
    routing,
};
use bytes::Bytes;
use http::{Response, header};
use redsync::Redsync;
use redsync_tests::Servers;
use redsync_tower::{RedlockLayer, key};
use tokio_util::sync::CancellationToken;

use crate::support::{LONG, SOON, Stage, fetch, post, request, serve};

struct Service {
    servers: Servers,
    redsync: Redsync,
    /// The requests that have come, and those that hold their lock.
    arrived: Stage,
    stage: Stage,
    shutdown: CancellationToken,
    address: SocketAddr,
}

impl Service {
    async fn start(wait: Duration) -> Self {
        let servers = Servers::start(3);
        let redsync = Redsync::connect(servers.urls()).expect("URLs");
        let redsync = redsync
            .with_defaults(|mutex| mutex.with_expiry(LONG).with_node_timeout(SOON))
            .expect("options that work");
        let (arrived, stage) = (Stage::new(), Stage::new());
        let shutdown = CancellationToken::new();
        let lock = RedlockLayer::new(redsync.clone(), key::path("{id}"))
            .with_wait(wait)
            .with_preferred_wait(LONG)
            .with_shutdown(shutdown.clone());
        let playing = stage.clone();
        let handler = routing::post(async move || playing.play().await);
        let coming = arrived.clone();
        let arrive = middleware::from_fn(move |request: Request, next: Next| {
            let on_stage = coming.step_on();
            async move {
                let response = next.run(request).await;
                drop(on_stage);
                response
            }
        });
        let app = Router::new()
            .route("/{id}", handler.route_layer(lock))
            .layer(arrive);
        let address = serve(app).await;
        Self {
            servers,
            redsync,
            arrived,
            stage,
            shutdown,
            address,
        }
    }

    async fn ends_empty(self) {
        self.redsync.drain().await;
        self.servers.assert_no_keys();
    }
}

#[track_caller]
fn assert_sent_away(response: &Response<Bytes>) {
    assert_eq!(response.status(), 503);
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    let problem: serde_json::Value = serde_json::from_slice(response.body()).unwrap();
    assert_eq!(problem["type"], "urn:redsync:problem:shutting-down");
    assert_eq!(problem["retry_after"], 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_wait_are_sent_away_and_the_one_that_holds_the_lock_finishes() {
    let service = Service::start(LONG).await;
    let working = tokio::spawn(post(service.address, "/1"));
    service.stage.has(1).await;
    let waiting = [(); 5].map(|()| tokio::spawn(fetch(service.address, request("POST", "/1"))));
    service.arrived.has(6).await;
    service.shutdown.cancel();
    for request in waiting {
        assert_sent_away(&request.await.unwrap());
    }
    assert!(!working.is_finished());
    service.stage.let_go(1);
    assert_eq!(working.await.unwrap().0, 200);
    assert_eq!(service.stage.begun(), 1);
    service.ends_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_later_request_is_let_in_if_its_lock_is_free_and_sent_away_if_not() {
    let service = Service::start(LONG).await;
    service.shutdown.cancel();
    let working = tokio::spawn(post(service.address, "/1"));
    service.stage.has(1).await;
    assert_sent_away(&fetch(service.address, request("POST", "/1")).await);
    service.stage.let_go(1);
    assert_eq!(working.await.unwrap().0, 200);
    service.ends_empty().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_would_not_wait_is_refused_as_always() {
    let service = Service::start(Duration::ZERO).await;
    service.shutdown.cancel();
    let working = tokio::spawn(post(service.address, "/1"));
    service.stage.has(1).await;
    assert_eq!(post(service.address, "/1").await.0, 409);
    let mut preferring = request("POST", "/1");
    let wait = "wait=60".parse().unwrap();
    preferring.headers_mut().insert("prefer", wait);
    let response = fetch(service.address, preferring).await;
    assert_sent_away(&response);
    assert!(!response.headers().contains_key("preference-applied"));
    service.stage.let_go(1);
    assert_eq!(working.await.unwrap().0, 200);
    service.ends_empty().await;
}
