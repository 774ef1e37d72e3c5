use std::time::Duration;

use axum::{Router, extract::State, routing::post};
use http::StatusCode;
use redsync_tower::{LockRejection, LockRejectionReason, RedlockLayer, key};
use tokio::time::Instant;

use crate::{Stage, nodes, request, send, status};

async fn work(State(stage): State<Stage>) {
    stage.enter().await;
}

fn app(lock: RedlockLayer<key::PathKey>) -> (Router, Stage) {
    let stage = Stage::new();
    let app = Router::new().route("/{id}", post(work).route_layer(lock));
    (app.with_state(stage.clone()), stage)
}

#[tokio::test(start_paused = true)]
async fn a_request_beyond_the_limit_for_a_key_is_refused_at_once() {
    let by_the_layer = RedlockLayer::new(nodes().0, key::path("{id}")).with_max_pending_per_key(2);
    let mutexes = nodes().0.with_defaults(|mutex| mutex.with_max_waiting(2));
    let by_the_mutexes = RedlockLayer::new(mutexes.unwrap(), key::path("{id}"));
    for lock in [by_the_layer, by_the_mutexes] {
        two_wait(lock.with_wait(Duration::from_secs(60))).await;
    }
}

async fn two_wait(lock: RedlockLayer<key::PathKey>) {
    let (app, stage) = app(lock);
    let start = |uri: &'static str| {
        let app = app.clone();
        tokio::spawn(async move { status(&app, "POST", uri).await })
    };
    let first = start("/1");
    stage.has(1).await;
    let others = [start("/1"), start("/1")];
    tokio::time::sleep(Duration::from_secs(1)).await;

    let started = Instant::now();
    let refused = send(&app, request("POST", "/1")).await;
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert_eq!(refused.status(), StatusCode::LOCKED);
    assert_eq!(refused.headers()["retry-after"], "1");
    let rejection = refused.extensions().get::<LockRejection>().unwrap();
    assert_eq!(rejection.reason(), LockRejectionReason::TooManyWaiting);

    let other_key = start("/2");
    stage.has(1).await;
    stage.let_go(4);
    for request in [first, other_key].into_iter().chain(others) {
        assert_eq!(request.await.unwrap(), StatusCode::OK);
    }
    // Requests that have ended no longer count.
    stage.let_go(1);
    assert_eq!(status(&app, "POST", "/1").await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_limit_of_no_waiters_lets_a_request_have_a_free_lock() {
    let (redsync, _) = nodes();
    let limited = redsync.with_defaults(|mutex| mutex.with_max_waiting(0));
    let limited = limited.unwrap();
    for (wait, reason) in [
        (Duration::ZERO, LockRejectionReason::Taken),
        (Duration::from_secs(60), LockRejectionReason::TooManyWaiting),
    ] {
        let lock = RedlockLayer::new(limited.clone(), key::path("{id}")).with_wait(wait);
        let (app, stage) = app(lock);
        stage.let_go(1);
        assert_eq!(status(&app, "POST", "/1").await, StatusCode::OK);
        let by_hand = limited.mutex("1").lock().await.unwrap();
        let refused = send(&app, request("POST", "/1")).await;
        let rejection = refused.extensions().get::<LockRejection>().unwrap();
        assert_eq!(rejection.reason(), reason);
        by_hand.release().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_says_how_long_it_waits_up_to_a_limit() {
    let (redsync, _) = nodes();
    let _held = redsync
        .mutex("1")
        .with_expiry(Duration::from_secs(600))
        .lock()
        .await
        .unwrap();
    let lock = RedlockLayer::new(redsync, key::path("{id}"))
        .with_wait(Duration::from_secs(1))
        .with_preferred_wait(Duration::from_secs(5));
    let (app, _) = app(lock);
    for (prefers, waits, applied, answer) in [
        (None, 1, None, StatusCode::LOCKED),
        (Some("wait=3"), 3, Some("wait=3"), StatusCode::LOCKED),
        (Some("wait=100"), 5, Some("wait=5"), StatusCode::LOCKED),
        (Some("wait=0"), 0, Some("wait=0"), StatusCode::CONFLICT),
        (Some("wait=soon"), 1, None, StatusCode::LOCKED),
    ] {
        let mut request = request("POST", "/1");
        if let Some(prefers) = prefers {
            request
                .headers_mut()
                .insert("prefer", prefers.parse().unwrap());
        }
        let started = Instant::now();
        let response = send(&app, request).await;
        assert_eq!(started.elapsed().as_secs(), waits, "{prefers:?}");
        let says = response.headers().get("preference-applied");
        assert_eq!(
            says.map(|says| says.to_str().unwrap()),
            applied,
            "{prefers:?}"
        );
        assert_eq!(response.status(), answer, "{prefers:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn only_one_of_two_layers_adds_preference_applied() {
    let (redsync, _) = nodes();
    let layer = |template| {
        RedlockLayer::new(redsync.clone(), key::path(template))
            .with_preferred_wait(Duration::from_secs(5))
    };
    let handler = post(async || [("preference-applied", "return=minimal")]);
    let handler = handler
        .route_layer(layer("a:{id}"))
        .route_layer(layer("b:{id}"));
    let app = Router::new().route("/{id}", handler);
    let mut request = request("POST", "/1");
    let prefers = r#"note="wait=1, 2"; x, WAIT = "3""#;
    request
        .headers_mut()
        .insert("prefer", prefers.parse().unwrap());
    let response = send(&app, request).await;
    let applied: Vec<_> = response
        .headers()
        .get_all("preference-applied")
        .iter()
        .collect();
    assert_eq!(applied, ["return=minimal", "wait=3"]);
}

#[tokio::test(start_paused = true)]
async fn a_limit_below_a_second_is_kept_and_not_called_none() {
    let (redsync, _) = nodes();
    let _held = redsync.mutex("1").lock().await.unwrap();
    let limit = Duration::from_millis(300);
    let lock = RedlockLayer::new(redsync, key::path("{id}")).with_preferred_wait(limit);
    let (app, _) = app(lock);
    let mut request = request("POST", "/1");
    request
        .headers_mut()
        .insert("prefer", "wait=3".parse().unwrap());
    let started = Instant::now();
    let response = send(&app, request).await;
    assert_eq!(started.elapsed(), limit);
    assert_eq!(response.status(), StatusCode::LOCKED);
    assert!(!response.headers().contains_key("preference-applied"));
}
