//! A minimum hold of the layer, however the request ends.

use std::{
    panic::AssertUnwindSafe,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, routing::post};
use futures_util::FutureExt as _;
use http::StatusCode;
use http_body_util::BodyExt as _;
use redsync::{
    Guard,
    node::{MemoryNode, Node as _},
};
use redsync_tower::{HeldLock, HoldUntil, RedlockLayer, key};
use tokio::time::{Instant, sleep, timeout};

use crate::{nodes, request, send, status};

const MINIMUM: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);

/// For how long a node keeps the key of the job.
async fn left(nodes: &[MemoryNode]) -> Duration {
    let found = nodes[0].inspect("job:1").await.unwrap();
    let holder = found.and_then(|found| found.holders.into_iter().next());
    let left = holder.and_then(|holder| holder.remaining);
    left.unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn a_second_request_is_refused_although_the_first_is_answered() {
    let (redsync, _) = nodes();
    let lock = RedlockLayer::new(redsync, key::path("job:{id}")).with_min_hold(MINIMUM);
    let app: Router = Router::new().route("/{id}", post(async || {}).route_layer(lock));
    let start = Instant::now();
    assert_eq!(status(&app, "POST", "/1").await, StatusCode::OK);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(status(&app, "POST", "/1").await, StatusCode::CONFLICT);
    assert_eq!(status(&app, "POST", "/2").await, StatusCode::OK);
    sleep(MINIMUM + SECOND).await;
    assert_eq!(status(&app, "POST", "/1").await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_refused_is_asked_to_come_back_when_the_minimum_is_over() {
    let (redsync, _) = nodes();
    let lock = RedlockLayer::new(redsync, key::path("job:{id}")).with_min_hold(MINIMUM);
    let work = async || sleep(SECOND).await;
    let app: Router = Router::new().route("/{id}", post(work).route_layer(lock));
    let retry_after = async || {
        let refused = send(&app, request("POST", "/1")).await;
        assert_eq!(refused.status(), StatusCode::CONFLICT);
        refused.headers()["retry-after"]
            .to_str()
            .unwrap()
            .to_owned()
    };
    let first = tokio::spawn({
        let app = app.clone();
        async move { status(&app, "POST", "/1").await }
    });
    tokio::task::yield_now().await;
    // While it runs, it is not known when it was acquired.
    assert_eq!(retry_after().await, "5");
    assert_eq!(first.await.unwrap(), StatusCode::OK);
    assert_eq!(retry_after().await, "4");
    sleep(2 * SECOND).await;
    assert_eq!(retry_after().await, "2");
    sleep(2 * SECOND).await;
    assert_eq!(status(&app, "POST", "/1").await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn the_key_stays_for_the_minimum_however_the_handler_ends() {
    for end in ["answered", "failed", "panics", "disconnected", "aborted"] {
        let (redsync, nodes) = nodes();
        let lock = RedlockLayer::new(redsync.clone(), key::path("job:{id}"))
            .with_min_hold(MINIMUM)
            .with_max_hold(2 * SECOND);
        let work = async move || {
            sleep(SECOND).await;
            match end {
                "answered" => StatusCode::OK,
                "failed" => StatusCode::INTERNAL_SERVER_ERROR,
                "panics" => panic!("the handler has a mistake"),
                _ => std::future::pending().await,
            }
        };
        let app: Router = Router::new().route("/{id}", post(work).route_layer(lock));
        let start = Instant::now();
        let answer = AssertUnwindSafe(status(&app, "POST", "/1")).catch_unwind();
        if end == "disconnected" {
            timeout(SECOND, answer).await.unwrap_err();
        } else {
            assert_eq!(answer.await.is_err(), end == "panics");
        }
        redsync.drain().await;
        assert!(start.elapsed() < 3 * SECOND);
        assert_eq!(left(&nodes).await, MINIMUM - start.elapsed(), "{end}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_ends_early_leaves_the_key_for_the_minimum() {
    let (redsync, nodes) = nodes();
    let lock = RedlockLayer::new(redsync.clone(), key::path("job:{id}"))
        .with_min_hold(MINIMUM)
        .with_hold_until(HoldUntil::BodyEnd);
    let app = Router::new().route("/{id}", post(async || "done").route_layer(lock));
    let response = send(&app, request("POST", "/1")).await;
    sleep(SECOND).await;
    response.into_body().collect().await.unwrap();
    redsync.drain().await;
    assert_eq!(left(&nodes).await, MINIMUM - SECOND);
}

#[tokio::test(start_paused = true)]
async fn the_minimum_of_a_lock_that_was_detached_counts_from_its_acquisition() {
    for (works, stays) in [(2 * SECOND, 2 * SECOND), (4 * MINIMUM, Duration::ZERO)] {
        let (redsync, nodes) = nodes();
        let job = Arc::<Mutex<Option<Guard>>>::default();
        let handler = {
            let job = Arc::clone(&job);
            async move |lock: HeldLock| {
                sleep(SECOND).await;
                *job.lock().unwrap() = lock.detach();
                StatusCode::ACCEPTED
            }
        };
        let lock = RedlockLayer::new(redsync.clone(), key::path("job:{id}")).with_min_hold(MINIMUM);
        let app = Router::new().route("/{id}", post(handler).route_layer(lock));
        assert_eq!(status(&app, "POST", "/1").await, StatusCode::ACCEPTED);
        sleep(works).await;
        assert!(left(&nodes).await > MINIMUM, "it is kept alive");
        let guard = job.lock().unwrap().take().unwrap();
        drop(guard);
        redsync.drain().await;
        assert_eq!(left(&nodes).await, stays);
    }
}
