use std::{panic::catch_unwind, time::Duration};

use axum::{Router, body::Body, extract::State, routing::post};
use http::{Request, StatusCode};
use redsync::Redsync;
use redsync_tower::{
    HeldLock, RedlockLayer,
    key::{self, LockKey},
};

use crate::{Stage, nodes, request, send, status};

async fn work(State(stage): State<Stage>) {
    stage.enter().await;
}

/// Instances of a service.
fn instances(nodes: &[redsync::node::MemoryNode], stage: &Stage) -> [Router; 3] {
    std::array::from_fn(|_| {
        let redsync = Redsync::new(nodes.to_vec()).unwrap();
        let limit = RedlockLayer::new(redsync, key::path("export:{id}"))
            .with_permits(3)
            .with_contention_status(StatusCode::TOO_MANY_REQUESTS);
        let app = Router::new().route("/{id}", post(work).route_layer(limit));
        app.with_state(stage.clone())
    })
}

#[tokio::test]
async fn as_many_requests_for_a_key_run_as_there_are_permits_in_all_instances() {
    let (stage, (_, nodes)) = (Stage::new(), nodes());
    let instances = instances(&nodes, &stage);
    let mut running = Vec::new();
    for instance in [0, 0, 1] {
        let app = instances[instance].clone();
        running.push(tokio::spawn(
            async move { status(&app, "POST", "/1").await },
        ));
    }
    stage.has(3).await;
    for app in &instances {
        let refused = send(app, request("POST", "/1")).await;
        assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(refused.headers().contains_key("retry-after"));
    }
    let app = instances[2].clone();
    let other_key = tokio::spawn(async move { status(&app, "POST", "/2").await });
    stage.has(1).await;

    stage.let_go(4);
    for request in running.into_iter().chain([other_key]) {
        assert_eq!(request.await.unwrap(), StatusCode::OK);
    }
    stage.let_go(1);
    assert_eq!(status(&instances[2], "POST", "/1").await, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn a_request_waits_for_any_permit() {
    let (stage, (redsync, _)) = (Stage::new(), nodes());
    let limit = RedlockLayer::new(redsync, key::path("export:{id}"))
        .with_permits(2)
        .with_wait(Duration::from_secs(60));
    let app = Router::new().route("/{id}", post(work).route_layer(limit));
    let app = app.with_state(stage.clone());
    let start = || {
        let app = app.clone();
        tokio::spawn(async move { status(&app, "POST", "/1").await })
    };
    let requests = [start(), start(), start()];
    stage.has(2).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stage.let_go(1);
    stage.has(1).await;
    stage.let_go(2);
    for request in requests {
        assert_eq!(request.await.unwrap(), StatusCode::OK);
    }
}

#[tokio::test]
async fn a_permit_is_not_asked_for_again_by_the_request_that_has_it() {
    let (redsync, _) = nodes();
    let limit = RedlockLayer::new(redsync.clone(), key::path("export:{id}")).with_permits(2);
    // The inner layer finds that the outer one has it.
    let app = Router::new().route(
        "/{id}",
        post(async || {})
            .route_layer(limit.clone())
            .route_layer(limit),
    );
    // One permit is left.
    let _held = redsync.semaphore("export:1", 2).lock().await.unwrap();
    assert_eq!(status(&app, "POST", "/1").await, StatusCode::OK);
}

#[tokio::test]
async fn one_permit_is_the_lock() {
    let (redsync, _) = nodes();
    let lock = RedlockLayer::new(redsync.clone(), key::path("order:{id}"))
        .with_permits(1)
        .with_fencing(true);
    let app: Router = Router::new().route(
        "/{id}",
        post(async |lock: HeldLock| assert!(lock.fencing_token().is_some())).route_layer(lock),
    );
    assert_eq!(status(&app, "POST", "/1").await, StatusCode::OK);
    let _held = redsync.mutex("order:1").lock().await.unwrap();
    assert_eq!(status(&app, "POST", "/1").await, StatusCode::CONFLICT);
}

#[test]
fn what_permits_do_not_go_with_is_refused_when_the_layer_is_made() {
    let layer = || RedlockLayer::new(nodes().0, key::header("k"));
    for (what, wrong) in [
        (
            "none",
            (|layer| layer.with_permits(0)) as fn(RedlockLayer<_>) -> _,
        ),
        ("too many", |layer| layer.with_permits(65)),
        ("fenced", |layer| layer.with_fencing(true).with_permits(2)),
        ("fenced later", |layer| {
            layer.with_permits(2).with_fencing(true)
        }),
        ("shared", |layer| {
            layer.with_shared_reads(true).with_permits(2)
        }),
        ("shared later", |layer| {
            layer.with_permits(2).with_shared_reads(true)
        }),
    ] {
        let layer = std::panic::AssertUnwindSafe(layer());
        assert!(catch_unwind(|| wrong({ layer }.0)).is_err(), "{what}");
    }
    drop(
        layer()
            .with_fencing(true)
            .with_permits(1)
            .with_shared_reads(true),
    );
}

#[tokio::test]
async fn a_key_that_has_no_permits_is_a_mistake_in_the_program() {
    for key in [LockKey::from("a").and("b"), LockKey::from("a").shared()] {
        let key = move |_: &Request<Body>| Some(key.clone());
        let limit = RedlockLayer::new(nodes().0, key).with_permits(2);
        let app: Router = Router::new().route("/", post(async || {}).route_layer(limit));
        let refused = status(&app, "POST", "/").await;
        assert_eq!(refused, StatusCode::INTERNAL_SERVER_ERROR);
    }
}
