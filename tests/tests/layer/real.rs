//! Real Redis servers that fail, and a client in a loop.

use std::time::Instant;

use axum::{Router, routing};
use http::StatusCode;
use redsync::Redsync;
use redsync_tests::{Servers, wait::until_async};
use redsync_tower::{LockRejectionReason as Reason, RedlockLayer, key};

use crate::support::{Log, SOON, post, refusal, secs, send};

fn redsync(servers: &Servers) -> Redsync {
    Redsync::connect(servers.urls()).expect("URLs")
}

fn patient(redsync: Redsync) -> Redsync {
    let redsync = redsync.with_defaults(|mutex| mutex.with_node_timeout(secs(5)));
    redsync.expect("options that work")
}

fn app(lock: RedlockLayer<key::PathKey>) -> Router {
    let handler = routing::post(|| async { "done" }).route_layer(lock);
    Router::new().route("/orders/{id}", handler)
}

fn lock(redsync: Redsync) -> RedlockLayer<key::PathKey> {
    RedlockLayer::new(redsync, key::path("order:{id}"))
}

#[tokio::test]
async fn a_client_in_a_loop_never_meets_its_own_lock() {
    for count in [1, 3] {
        let servers = Servers::start(count);
        let app = app(lock(patient(redsync(&servers))));
        for number in 0..200 {
            let response = send(&app, post("/orders/1")).await;
            assert_eq!(response.status(), StatusCode::OK, "{number} of {count}");
        }
    }
}

#[tokio::test]
async fn one_dead_server_of_three_does_not_matter() {
    let servers = Servers::start(3);
    let app = app(lock(patient(redsync(&servers))));
    servers[1].stop();
    let start = Instant::now();
    for _ in 0..10 {
        let response = send(&app, post("/orders/1")).await;
        assert_eq!(response.status(), StatusCode::OK);
    }
    // Had anybody waited for the one that is stopped, it would have been 50 s or more.
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
    servers[1].kill();
    for _ in 0..10 {
        let response = send(&app, post("/orders/1")).await;
        assert_eq!(response.status(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_key_that_is_not_a_lock_is_500_and_an_error_event_names_it() {
    let servers = Servers::start(3);
    let (log, _listening) = Log::listen();
    for wait in [secs(0), secs(3600)] {
        for fail_open in [false, true] {
            let lock = lock(patient(redsync(&servers))).with_fail_open(fail_open);
            let app = app(lock.with_prefix("shop:").with_wait(wait));
            for server in &servers {
                server.command(&["SET", "shop:order:1", "a cached page"]);
            }
            let response = send(&app, post("/orders/1")).await;
            let status = StatusCode::INTERNAL_SERVER_ERROR;
            let after = refusal(response, status, Reason::Misconfigured).await;
            assert_eq!(after, None, "it does not help to come back");
            let logged = log.take();
            assert_eq!(logged.lines().count(), 1, "{logged}");
            for word in ["ERROR", "`shop:order:1`", "POST", "/orders/{id}"] {
                assert!(logged.contains(word), "{word}: {logged}");
            }
            assert!(!logged.contains("misconfigured"), "{logged}");
            for server in &servers {
                server.flush();
            }
            let response = send(&app, post("/orders/1")).await;
            assert_eq!(response.status(), StatusCode::OK);
        }
    }
}

#[tokio::test]
async fn two_dead_servers_of_three_cause_an_outage_that_ends() {
    let servers = Servers::start(3);
    let waits = [secs(0), secs(3600)];
    let apps = waits.map(|wait| app(lock(redsync(&servers)).with_wait(wait)));
    for app in &apps {
        servers[0].kill();
        servers[2].kill();
        let start = Instant::now();
        let response = send(app, post("/orders/1")).await;
        assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let after = refusal(response, status, Reason::Unavailable).await;
        assert!(after.is_some());

        servers[0].restart();
        servers[2].restart();
        until_async("it recovers", SOON, async || {
            send(app, post("/orders/1")).await.status() == StatusCode::OK
        })
        .await;
    }
}
