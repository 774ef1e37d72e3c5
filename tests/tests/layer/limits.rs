//! The limits that a layer has itself: expiry, maximum hold, and the limit for each node.

use std::{future::pending, panic};

use axum::{Router, routing};
use http::StatusCode;
use redsync::Redsync;
use redsync_tests::Servers;
use redsync_tower::{HeldLock, LockRejectionReason as Reason, OnLoss, RedlockLayer, key};
use tokio::time::{Instant, sleep};

use crate::support::{Nodes, ms, post, refusal, rejection, secs, send, text};

fn orders(redsync: Redsync) -> RedlockLayer<key::PathKey> {
    RedlockLayer::new(redsync, key::path("order:{id}"))
}

/// A service with a handler that hangs, and one that answers with the lock's validity in seconds.
fn app(lock: &RedlockLayer<key::PathKey>) -> Router {
    let hang = routing::post(pending::<()>).route_layer(lock.clone());
    let show = async |lock: HeldLock| format!("{:.1}", lock.remaining().as_secs_f64());
    Router::new()
        .route("/hang/{id}", hang)
        .route("/show/{id}", routing::post(show).route_layer(lock.clone()))
}

#[tokio::test(start_paused = true)]
async fn a_layer_has_an_expiry_of_its_own() {
    let nodes = Nodes::new();
    let redsync = nodes.redsync();
    let lock = orders(redsync.clone()).with_expiry(secs(20));
    let response = send(&app(&lock), post("/show/1")).await;
    assert_eq!(text(response).await, "19.8");
    let of_others = redsync.mutex("order:2").lock().await.unwrap();
    assert!(of_others.remaining() < secs(9), "others keep their own");
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_hangs_is_dropped_at_the_maximum_hold() {
    let nodes = Nodes::new();
    let lock = orders(nodes.redsync()).with_max_hold(secs(60));
    let start = Instant::now();
    let response = send(&app(&lock), post("/hang/1")).await;
    assert_eq!(start.elapsed(), secs(60));
    refusal(response, StatusCode::INTERNAL_SERVER_ERROR, Reason::Lost).await;
    let next = nodes.redsync().mutex("order:1").lock_within(secs(1)).await;
    assert!(next.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_may_finish_goes_on_after_the_maximum_hold() {
    let nodes = Nodes::new();
    let lock = orders(nodes.redsync())
        .with_max_hold(secs(60))
        .with_on_loss(OnLoss::Finish);
    let handler = routing::post(|| sleep(secs(90))).route_layer(lock);
    let app = Router::new().route("/orders/{id}", handler);
    let response = send(&app, post("/orders/1")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(rejection(&response).unwrap().reason(), Reason::Lost);
}

#[tokio::test(start_paused = true)]
async fn a_layer_has_a_limit_of_its_own_for_each_node() {
    let nodes = Nodes::new();
    nodes.answers_take(secs(3600));
    let lock = orders(nodes.redsync())
        .with_node_timeout(ms(50))
        .with_outage_attempts(1);
    let start = Instant::now();
    let response = send(&app(&lock), post("/show/1")).await;
    refusal(
        response,
        StatusCode::SERVICE_UNAVAILABLE,
        Reason::Unavailable,
    )
    .await;
    assert_eq!(start.elapsed(), ms(50));
}

#[test]
fn a_limit_that_no_lock_can_have_is_found_when_the_layer_is_built() {
    let lock = || orders(Redsync::in_memory(3));
    let builds: [fn(RedlockLayer<_>) -> RedlockLayer<_>; 4] = [
        |lock| lock.with_expiry(ms(1)),
        |lock| lock.with_max_hold(ms(0)),
        |lock| lock.with_max_hold(ms(100)),
        |lock| lock.with_node_timeout(ms(0)),
    ];
    for (number, build) in builds.into_iter().enumerate() {
        assert!(panic::catch_unwind(|| build(lock())).is_err(), "{number}");
    }
    let _ = lock().with_expiry(ms(500)).with_max_hold(ms(100));
}

#[tokio::test]
async fn a_handler_that_hangs_frees_its_lock_on_real_servers() {
    let servers = Servers::start(3);
    let redsync = Redsync::connect(servers.urls()).expect("URLs");
    let lock = orders(redsync.clone())
        .with_node_timeout(secs(8))
        // A busy machine takes part of it for the acquisition.
        .with_max_hold(secs(3));
    let response = send(&app(&lock), post("/hang/1")).await;
    refusal(response, StatusCode::INTERNAL_SERVER_ERROR, Reason::Lost).await;
    let guard = redsync.mutex("order:1").lock_within(secs(20)).await;
    drop(guard.expect("the lock is free"));
    redsync.drain().await;
}
