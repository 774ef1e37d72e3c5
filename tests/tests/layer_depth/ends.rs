use std::{convert::Infallible, sync::Mutex, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    routing::post,
};
use futures_util::stream;
use http::StatusCode;
use http_body_util::BodyExt;
use redsync::{Guard, LockError, Redsync, Released, node::MemoryNode};
use redsync_tower::{
    HeldLock, HoldUntil, LockRejection, LockRejectionReason, OnLoss, RedlockLayer, key,
};

use crate::{nodes, request, send, status};

/// Asked as another process would.
async fn is_free(nodes: &[MemoryNode]) -> bool {
    let other = Redsync::new(nodes.to_vec()).unwrap();
    // Less than an expiry, and more than it takes to release in the background.
    match other.mutex("1").lock_within(Duration::from_secs(2)).await {
        Ok(guard) => {
            guard.release().await.unwrap();
            other.drain().await;
            true
        }
        Err(LockError::TimedOut(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

/// A body of two frames.
fn stream() -> Body {
    let frames = [Bytes::from("one"), Bytes::from("two")];
    Body::from_stream(stream::iter(frames.map(Ok::<_, Infallible>)))
}

fn streaming(redsync: &Redsync) -> Router {
    let lock =
        RedlockLayer::new(redsync.clone(), key::path("{id}")).with_hold_until(HoldUntil::BodyEnd);
    Router::new().route("/{id}", post(async || stream()).route_layer(lock))
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_held_until_the_end_of_the_body() {
    let (redsync, nodes) = nodes();
    let app = streaming(&redsync);
    let mut body = send(&app, request("POST", "/1")).await.into_body();
    // It is extended meanwhile.
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!is_free(&nodes).await);
    for frame in ["one", "two"] {
        assert!(!is_free(&nodes).await);
        let next = body.frame().await.unwrap().unwrap();
        assert_eq!(next.into_data().unwrap(), frame);
    }
    assert!(body.frame().await.is_none());
    redsync.drain().await;
    assert!(nodes.iter().all(MemoryNode::is_empty));
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_dropped_releases() {
    let (redsync, nodes) = nodes();
    let response = send(&streaming(&redsync), request("POST", "/1")).await;
    assert!(!is_free(&nodes).await);
    drop(response);
    assert!(is_free(&nodes).await);
}

#[tokio::test(start_paused = true)]
async fn a_body_that_fails_releases() {
    let (redsync, nodes) = nodes();
    let lock =
        RedlockLayer::new(redsync.clone(), key::path("{id}")).with_hold_until(HoldUntil::BodyEnd);
    let failing = async || {
        let frames = [
            Ok(Bytes::from("one")),
            Err(std::io::Error::other("no more")),
        ];
        Body::from_stream(stream::iter(frames))
    };
    let app = Router::new().route("/{id}", post(failing).route_layer(lock));
    let mut body = send(&app, request("POST", "/1")).await.into_body();
    body.frame().await.unwrap().unwrap();
    assert!(!is_free(&nodes).await);
    body.frame().await.unwrap().unwrap_err();
    assert!(is_free(&nodes).await);
}

#[tokio::test(start_paused = true)]
async fn a_body_of_known_length_releases_with_its_last_frame() {
    let (redsync, nodes) = nodes();
    let lock =
        RedlockLayer::new(redsync.clone(), key::path("{id}")).with_hold_until(HoldUntil::BodyEnd);
    let app = Router::new().route("/{id}", post(async || "whole").route_layer(lock.clone()));
    let mut body = send(&app, request("POST", "/1")).await.into_body();
    assert_eq!(
        body.frame().await.unwrap().unwrap().into_data().unwrap(),
        "whole"
    );
    assert!(
        is_free(&nodes).await,
        "though nobody has asked for another frame"
    );

    let app = Router::new().route(
        "/{id}",
        post(async || StatusCode::NO_CONTENT).route_layer(lock),
    );
    let response = send(&app, request("POST", "/1")).await;
    assert!(
        is_free(&nodes).await,
        "an empty body has ended before it begins"
    );
    drop(response);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_was_detached_outlives_its_request() {
    let (redsync, nodes) = nodes();
    static JOB: Mutex<Option<Guard>> = Mutex::new(None);
    let handler = async |lock: HeldLock| {
        let guard = lock.detach();
        assert!(guard.is_some() && lock.detach().is_none());
        *JOB.lock().unwrap() = guard;
        StatusCode::ACCEPTED
    };
    let lock = RedlockLayer::new(redsync.clone(), key::path("{id}"));
    let app = Router::new().route("/{id}", post(handler).route_layer(lock));
    assert_eq!(status(&app, "POST", "/1").await, StatusCode::ACCEPTED);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!is_free(&nodes).await);
    let guard = JOB.lock().unwrap().take().unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    assert!(is_free(&nodes).await);
}

#[tokio::test(start_paused = true)]
async fn tasks_of_a_request_that_has_ended_are_notified() {
    static HELD: Mutex<Option<HeldLock>> = Mutex::new(None);
    let (redsync, _) = nodes();
    let lock = RedlockLayer::new(redsync.clone(), key::path("{id}"));
    let handler = async |lock: HeldLock| {
        *HELD.lock().unwrap() = Some(lock);
        tokio::time::sleep(Duration::from_secs(1)).await;
    };
    let app = Router::new().route("/{id}", post(handler).route_layer(lock));
    // One is cut off, the other answered.
    for limit in [Duration::from_millis(10), Duration::from_secs(5)] {
        let sent = send(&app, request("POST", "/1"));
        drop(tokio::time::timeout(limit, sent).await);
        let held = HELD.lock().unwrap().take().unwrap();
        assert!(held.is_lost() && held.remaining().is_zero());
        let told = tokio::time::timeout(Duration::from_millis(1), held.lost()).await;
        assert!(told.is_ok());
        assert!(held.detach().is_none());
        redsync.drain().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_lost_before_the_body_begins_replaces_the_response() {
    let (redsync, nodes) = nodes();
    for (on_loss, answer) in [
        (OnLoss::Abort, StatusCode::INTERNAL_SERVER_ERROR),
        (OnLoss::Finish, StatusCode::OK),
    ] {
        let lock = RedlockLayer::new(redsync.clone(), key::path("{id}"))
            .with_hold_until(HoldUntil::BodyEnd)
            .with_keep_alive(false)
            .with_on_loss(on_loss);
        let nodes = nodes.clone();
        let handler = async move |lock: HeldLock| {
            // Lost within a poll, so that the layer can only see it when the handler has ended.
            nodes.iter().for_each(MemoryNode::clear);
            tokio::time::advance(Duration::from_secs(9)).await;
            assert!(lock.is_lost());
            stream()
        };
        let app = Router::new().route("/{id}", post(handler).route_layer(lock));
        let response = send(&app, request("POST", "/1")).await;
        assert_eq!(response.status(), answer);
        let rejection = response.extensions().get::<LockRejection>().unwrap();
        assert_eq!(rejection.reason(), LockRejectionReason::Lost);
    }
}

#[tokio::test(start_paused = true)]
async fn a_status_without_a_body_ends_the_lock_whatever_body_the_handler_returns() {
    let (redsync, nodes) = nodes();
    let lock = RedlockLayer::new(redsync, key::path("{id}")).with_hold_until(HoldUntil::BodyEnd);
    let handler = async || (StatusCode::NO_CONTENT, stream());
    let app = Router::new().route("/{id}", post(handler).route_layer(lock));
    let response = send(&app, request("POST", "/1")).await;
    assert!(is_free(&nodes).await);
    drop(response);
}
