//! `Retry-After`: when a client that was refused is asked to come back.

use std::time::Duration;

use axum::{Router, extract::Query, routing};
use http::StatusCode;
use redsync::Redsync;
use redsync_tests::Servers;
use redsync_tower::{LockRejectionReason as Reason, RedlockLayer, key};
use serde::Deserialize;
use tokio::time::{advance, sleep};

use crate::support::{Nodes, ms, post, refusal, secs, send};

#[derive(Deserialize)]
struct Work {
    ms: u64,
}

/// A service whose requests hold their locks for as long as they ask to.
fn app(lock: RedlockLayer<key::PathKey>) -> Router {
    let work = async |Query(Work { ms: millis }): Query<Work>| sleep(ms(millis)).await;
    Router::new().route("/orders/{id}", routing::post(work).route_layer(lock))
}

fn orders(redsync: Redsync) -> RedlockLayer<key::PathKey> {
    RedlockLayer::new(redsync, key::path("order:{id}"))
}

async fn hold(app: &Router, time: Duration) {
    let uri = format!("/orders/1?ms={}", time.as_millis());
    let response = send(app, post(&uri)).await;
    assert_eq!(response.status(), StatusCode::OK);
}

/// The seconds that a refused request is asked to wait.
async fn asked_to_wait(app: &Router) -> u64 {
    let response = send(app, post("/orders/1?ms=1")).await;
    let after = refusal(response, StatusCode::CONFLICT, Reason::Taken).await;
    after.expect("contention has a `Retry-After`")
}

#[tokio::test(start_paused = true)]
async fn it_is_how_long_locks_of_this_layer_are_usually_held() {
    let nodes = Nodes::new();
    let other = nodes.expiring(secs(3600));
    let app = app(orders(nodes.redsync()));
    let held = other.mutex("order:1").lock().await.unwrap();
    assert_eq!(asked_to_wait(&app).await, 1, "no hold has ended");
    held.release().await.unwrap();

    for (holds, time, expected) in [(1, ms(30_000), 30), (40, ms(50), 1), (40, ms(2500), 3)] {
        for _ in 0..holds {
            hold(&app, time).await;
        }
        let held = other.mutex("order:1").lock().await.unwrap();
        assert_eq!(asked_to_wait(&app).await, expected);
        held.release().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_at_least_the_rest_of_a_minimum_hold() {
    let app = app(orders(Nodes::new().redsync()).with_min_hold(secs(5)));
    hold(&app, ms(10)).await;
    assert_eq!(asked_to_wait(&app).await, 5);
    advance(secs(2)).await;
    assert_eq!(asked_to_wait(&app).await, 3, "the key is free then");
    advance(secs(4)).await;
    hold(&app, ms(10)).await;
}

#[tokio::test(start_paused = true)]
async fn it_is_not_more_than_the_time_until_the_key_expires() {
    let nodes = Nodes::new();
    let app = app(orders(nodes.redsync()));
    hold(&app, secs(60)).await;
    let held = nodes.expiring(secs(8)).mutex("order:1").lock().await;
    assert_eq!(asked_to_wait(&app).await, 8);
    advance(ms(5001)).await;
    assert_eq!(asked_to_wait(&app).await, 3);
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn one_call_sets_it_in_whole_seconds() {
    let nodes = Nodes::new();
    let _held = nodes.redsync().mutex("order:1").lock().await.unwrap();
    for (set, seconds) in [(ms(0), 1), (ms(1001), 2), (secs(30), 30)] {
        let app = app(orders(nodes.redsync()).with_retry_after(set));
        assert_eq!(asked_to_wait(&app).await, seconds, "{set:?}");
        nodes.take_down(3);
        let response = send(&app, post("/orders/1?ms=1")).await;
        let status = StatusCode::SERVICE_UNAVAILABLE;
        let after = refusal(response, status, Reason::Unavailable).await;
        assert_eq!(after, Some(seconds));
        nodes.take_down(0);
    }
}

#[tokio::test]
async fn a_key_on_real_servers_with_minutes_left_is_usually_free_within_a_second() {
    let servers = Servers::start(3);
    let redsync = Redsync::connect(servers.urls()).expect("URLs");
    let patient = |mutex: redsync::Mutex| mutex.with_expiry(secs(600)).with_node_timeout(secs(20));
    let redsync = redsync.with_defaults(patient).expect("options that work");
    let app = app(orders(redsync.clone()));
    hold(&app, ms(1)).await;
    let held = redsync.mutex("order:1").lock().await.unwrap();
    // A machine that is busy may have taken longer than a second.
    assert!(asked_to_wait(&app).await < 30);
    held.release().await.unwrap();
}
