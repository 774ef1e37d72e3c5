//! A lock that is lost while the handler works.

use std::time::Duration;

use axum::{Router, routing};
use http::StatusCode;
use redsync::Redsync;
use redsync_tests::{Servers, wait::until_async};
use redsync_tower::{LockRejectionReason as Reason, OnLoss, RedlockLayer, key};
use tokio::time::{Instant, sleep};

use crate::support::{Gauge, Nodes, SOON, ms, post, refusal, rejection, secs, send, text};

const LOST: StatusCode = StatusCode::INTERNAL_SERVER_ERROR;

fn layer(redsync: Redsync) -> RedlockLayer<key::PathKey> {
    RedlockLayer::new(redsync, key::path("order:{id}"))
}

fn app(layer: RedlockLayer<key::PathKey>, gauge: &Gauge, work: Duration) -> Router {
    let gauge = gauge.clone();
    let handler = routing::post(move || async move {
        gauge.work(work).await;
        "done"
    });
    Router::new().route("/orders/{id}", handler.route_layer(layer))
}

#[tokio::test(start_paused = true)]
async fn without_keep_alive_the_handler_is_dropped_at_the_end_of_the_validity() {
    let (nodes, gauge) = (Nodes::new(), Gauge::default());
    let app = app(
        layer(nodes.expiring(secs(1))).with_keep_alive(false),
        &gauge,
        secs(5),
    );
    let start = Instant::now();
    let response = send(&app, post("/orders/1")).await;
    // Less a hundredth, and 2 ms, for drift.
    let elapsed = start.elapsed();
    assert!(ms(988) <= elapsed && elapsed < ms(992), "{elapsed:?}");
    assert_eq!((gauge.now(), gauge.done()), (0, 0), "the handler is gone");
    assert_eq!(refusal(response, LOST, Reason::Lost).await, None);
    sleep(secs(10)).await;
    assert_eq!(gauge.done(), 0);
}

#[tokio::test(start_paused = true)]
async fn without_keep_alive_a_quick_handler_does_not_lose_its_lock() {
    let (nodes, gauge) = (Nodes::new(), Gauge::default());
    let app = app(
        layer(nodes.expiring(secs(1))).with_keep_alive(false),
        &gauge,
        ms(980),
    );
    let response = send(&app, post("/orders/1")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(rejection(&response).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_handler_may_finish_and_is_marked() {
    let (nodes, gauge) = (Nodes::new(), Gauge::default());
    let layer = layer(nodes.expiring(secs(1)))
        .with_keep_alive(false)
        .with_on_loss(OnLoss::Finish);
    let app = app(layer, &gauge, secs(5));
    let start = Instant::now();
    let response = send(&app, post("/orders/1")).await;
    assert_eq!(start.elapsed(), secs(5));
    assert_eq!(response.status(), StatusCode::OK);
    let reason = rejection(&response).map(|rejection| rejection.reason());
    assert_eq!(reason, Some(Reason::Lost));
    assert_eq!(text(response).await, "done");
    assert_eq!(gauge.done(), 1);
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_gone_are_noticed_by_the_next_extension() {
    for on_loss in [OnLoss::Abort, OnLoss::Finish] {
        let (nodes, gauge) = (Nodes::new(), Gauge::default());
        let app = app(
            layer(nodes.expiring(secs(9))).with_on_loss(on_loss),
            &gauge,
            secs(60),
        );
        let start = Instant::now();
        let request = tokio::spawn(send(&app, post("/orders/1")));
        sleep(secs(1)).await;
        nodes.clear(3);
        let response = request.await.unwrap();
        if on_loss == OnLoss::Finish {
            assert_eq!(start.elapsed(), secs(60));
            assert_eq!(response.status(), StatusCode::OK);
            let reason = rejection(&response).map(|rejection| rejection.reason());
            assert_eq!(reason, Some(Reason::Lost));
            assert_eq!(gauge.done(), 1);
        } else {
            // It is at a third of the expiry.
            assert!(start.elapsed() < ms(3100), "{:?}", start.elapsed());
            assert_eq!(refusal(response, LOST, Reason::Lost).await, None);
            assert_eq!((gauge.now(), gauge.done()), (0, 0));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn keys_that_are_gone_are_noticed_by_the_release() {
    for on_loss in [OnLoss::Abort, OnLoss::Finish] {
        let (nodes, gauge) = (Nodes::new(), Gauge::default());
        let app = app(
            layer(nodes.redsync()).with_on_loss(on_loss),
            &gauge,
            secs(1),
        );
        let request = tokio::spawn(send(&app, post("/orders/1")));
        sleep(ms(500)).await;
        nodes.clear(2);
        let response = request.await.unwrap();
        assert_eq!(gauge.done(), 1);
        match on_loss {
            OnLoss::Finish => {
                assert_eq!(response.status(), StatusCode::OK);
                let reason = rejection(&response).map(|rejection| rejection.reason());
                assert_eq!(reason, Some(Reason::Lost));
            }
            _ => assert_eq!(refusal(response, LOST, Reason::Lost).await, None),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn losing_a_minority_of_the_keys_is_not_a_loss() {
    let (nodes, gauge) = (Nodes::new(), Gauge::default());
    let app = app(layer(nodes.expiring(secs(1))), &gauge, secs(10));
    let request = tokio::spawn(send(&app, post("/orders/1")));
    sleep(ms(500)).await;
    nodes.clear(1);
    let response = request.await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(rejection(&response).is_none());
}

#[tokio::test(start_paused = true)]
async fn an_outage_longer_than_the_expiry_is_a_loss() {
    let (nodes, gauge) = (Nodes::new(), Gauge::default());
    let app = app(layer(nodes.expiring(secs(1))), &gauge, secs(60));
    let start = Instant::now();
    let request = tokio::spawn(send(&app, post("/orders/1")));
    sleep(ms(100)).await;
    nodes.take_down(2);
    let response = request.await.unwrap();
    assert_eq!(refusal(response, LOST, Reason::Lost).await, None);
    let elapsed = start.elapsed();
    assert!(ms(988) <= elapsed && elapsed < ms(992), "{elapsed:?}");
}

#[tokio::test(start_paused = true)]
async fn the_hook_is_asked_about_a_loss_too() {
    let (nodes, gauge) = (Nodes::new(), Gauge::default());
    let layer = layer(nodes.expiring(secs(1)))
        .with_keep_alive(false)
        .with_response(|rejection| http::Response::new(format!("{:?}", rejection.reason())));
    let response = send(&app(layer, &gauge, secs(5)), post("/orders/1")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(rejection(&response).is_some());
    assert_eq!(text(response).await, "Lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_flushed_on_real_servers_are_a_loss() {
    let servers = Servers::start(3);
    let redsync = Redsync::connect(servers.urls()).expect("URLs");
    let redsync = redsync
        .with_defaults(|mutex| mutex.with_expiry(secs(6)).with_node_timeout(secs(5)))
        .expect("options that work");
    let gauge = Gauge::default();
    let app = app(layer(redsync), &gauge, secs(60));
    let request = tokio::spawn(send(&app, post("/orders/1")));
    until_async("it holds all nodes", SOON, async || {
        gauge.now() == 1 && servers.holders("order:1").iter().all(Option::is_some)
    })
    .await;
    for server in &servers {
        server.flush();
    }
    let response = tokio::time::timeout(secs(30), request).await;
    let response = response.expect("soon").expect("no panic");
    assert_eq!(refusal(response, LOST, Reason::Lost).await, None);
    assert_eq!((gauge.now(), gauge.done()), (0, 0));
}
