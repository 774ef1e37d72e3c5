//! What a handler can ask of its lock.

use axum::{Router, routing};
use http::{Method, StatusCode};
use redsync_tower::{HeldLock, LockRejectionReason as Reason, RedlockLayer, key};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use crate::support::{Log, Nodes, ms, post, refusal, request, secs, send, text};

#[tokio::test(start_paused = true)]
async fn a_held_lock_reports_its_name_and_validity() {
    let nodes = Nodes::new();
    let lock = RedlockLayer::new(nodes.expiring(secs(10)), key::path("order:{id}"));
    let handler = |lock: HeldLock| async move {
        assert_eq!(lock.name(), "order:1");
        assert!(!lock.is_lost());
        // Less a hundredth, and 2 ms, for drift.
        assert_eq!(lock.remaining(), ms(9898));
        assert_eq!(lock.until(), Instant::now() + ms(9898));
        sleep(secs(3)).await;
        assert_eq!(lock.remaining(), ms(6898));
        // It is extended by now.
        sleep(secs(3)).await;
        let remaining = lock.remaining();
        assert!(
            ms(7000) < remaining && remaining < ms(7300),
            "{remaining:?}"
        );
        assert_eq!(lock.clone().until(), lock.until());
        "done"
    };
    let app = Router::new().route("/orders/{id}", routing::post(handler).route_layer(lock));
    let response = send(&app, post("/orders/1")).await;
    assert_eq!(text(response).await, "done");
}

#[tokio::test(start_paused = true)]
async fn a_held_lock_notifies_others_when_it_is_lost() {
    let nodes = Nodes::new();
    let lock = RedlockLayer::new(nodes.expiring(secs(9)), key::path("order:{id}"));
    let (sender, mut locks) = mpsc::unbounded_channel();
    let handler = move |lock: HeldLock| async move {
        sender.send(lock).unwrap();
        sleep(secs(60)).await;
    };
    let app = Router::new().route("/orders/{id}", routing::post(handler).route_layer(lock));
    let request = tokio::spawn(send(&app, post("/orders/1")));
    let lock = locks.recv().await.unwrap();
    assert!(!lock.is_lost());
    let start = Instant::now();
    nodes.clear(3);
    lock.lost().await;
    assert!(start.elapsed() < ms(3100), "{:?}", start.elapsed());
    assert!(lock.is_lost());
    assert_eq!(lock.remaining(), secs(0));
    let response = request.await.unwrap();
    assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test]
async fn a_held_lock_is_optional_where_no_lock_is_held() {
    let nodes = Nodes::new();
    let lock = RedlockLayer::new(nodes.redsync(), key::path("order:{id}"));
    let handler = |lock: Option<HeldLock>| async move {
        lock.map_or_else(|| "none".to_owned(), |lock| lock.name().to_owned())
    };
    let app = Router::new()
        .route("/orders/{id}", routing::any(handler).layer(lock))
        .route("/unlocked", routing::any(handler));
    for (method, uri, expected) in [
        (Method::POST, "/orders/1", "order:1"),
        (Method::GET, "/orders/1", "none"),
        (Method::POST, "/unlocked", "none"),
    ] {
        let response = send(&app, request(method, uri)).await;
        assert_eq!(text(response).await, expected, "{uri}");
    }
}

#[tokio::test]
async fn a_handler_that_asks_for_a_lock_where_none_is_held_is_a_mistake() {
    let (log, _listening) = Log::listen();
    let app = Router::new().route("/", routing::post(|_: HeldLock| async { "done" }));
    let response = send(&app, post("/")).await;
    let status = StatusCode::INTERNAL_SERVER_ERROR;
    let after = refusal(response, status, Reason::Misconfigured).await;
    assert_eq!(after, None);
    let logged = log.take();
    assert_eq!(logged.lines().count(), 1, "{logged}");
    for word in ["ERROR", "`HeldLock`", "method=POST", "route=/ "] {
        assert!(logged.contains(word), "{word}: {logged}");
    }
}

#[tokio::test]
async fn the_owner_value_is_shown_nowhere() {
    let nodes = Nodes::new();
    let redsync = nodes
        .redsync()
        .with_defaults(|mutex| {
            mutex.with_owner_label(|| Ok::<_, std::convert::Infallible>("s3cret".to_owned()))
        })
        .unwrap();
    let lock = RedlockLayer::new(redsync.clone(), key::path("order:{id}"));
    let shown = format!("{lock:?}");
    let handler = |lock: HeldLock| async move { format!("{lock:?}") };
    let app = Router::new().route("/orders/{id}", routing::post(handler).route_layer(lock));
    let held = text(send(&app, post("/orders/1")).await).await;
    assert!(held.contains("order:1"), "{held}");
    let _guard = redsync.mutex("order:1").lock().await.unwrap();
    let taken = format!("{:?}", send(&app, post("/orders/1")).await);
    assert!(taken.contains("409"), "{taken}");
    for shown in [shown, held, taken] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[tokio::test]
async fn a_lock_that_is_detached_after_its_request_is_not_there_and_that_is_a_warning() {
    let nodes = Nodes::new();
    let lock = RedlockLayer::new(nodes.redsync(), key::path("order:{id}"));
    let (sender, mut locks) = mpsc::unbounded_channel();
    let handler = async move |lock: HeldLock| sender.send(lock).expect("a receiver");
    let app = Router::new().route("/orders/{id}", routing::post(handler).route_layer(lock));
    assert_eq!(send(&app, post("/orders/1")).await.status(), StatusCode::OK);
    let lock = locks.recv().await.expect("a lock");
    let (log, _listening) = Log::listen();
    assert!(lock.detach().is_none());
    let logged = log.take();
    assert!(
        logged.contains("WARN") && logged.contains("order:1"),
        "{logged}"
    );
    assert!(logged.contains("too late to detach"), "{logged}");
}
