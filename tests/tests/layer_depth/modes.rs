use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Extension, Router, extract::State, routing::get};
use http::{Request, StatusCode};
use redsync_tests::faulty::{Fault, FaultyNode};
use redsync_tower::{HeldLock, NotLocked, RedlockLayer, key::LockKey};
use tokio::{task::JoinSet, time::sleep};

use crate::{Stage, nodes, request, send, status, text};

async fn work(State(stage): State<Stage>) {
    stage.enter().await;
}

fn key(request: &Request<impl Sized>) -> LockKey {
    LockKey::from(request.uri().path())
}

#[tokio::test(start_paused = true)]
async fn reads_run_side_by_side_and_writes_alone() {
    let (redsync, _) = nodes();
    let lock =
        RedlockLayer::new(redsync, |request: &Request<_>| key(request)).with_shared_reads(true);
    let stage = Stage::new();
    let routes = get(work).post(work).route_layer(lock);
    let app = Router::new()
        .route("/report", routes)
        .with_state(stage.clone());
    let start = |method: &'static str| {
        let app = app.clone();
        tokio::spawn(async move { status(&app, method, "/report").await })
    };

    let reads = [start("GET"), start("GET")];
    stage.has(2).await;
    assert_eq!(status(&app, "POST", "/report").await, StatusCode::CONFLICT);
    // A write that was refused, and that nobody repeats, keeps no read out.
    let last = start("GET");
    stage.has(1).await;
    stage.let_go(3);
    for read in reads.into_iter().chain([last]) {
        assert_eq!(read.await.unwrap(), StatusCode::OK);
    }

    let write = start("POST");
    stage.has(1).await;
    assert_eq!(status(&app, "GET", "/report").await, StatusCode::CONFLICT);
    assert_eq!(status(&app, "POST", "/report").await, StatusCode::CONFLICT);
    stage.let_go(1);
    assert_eq!(write.await.unwrap(), StatusCode::OK);
}

/// Twenty clients that read without a pause, beside writes that are refused and one that waits.
#[tokio::test(start_paused = true)]
async fn reads_stay_side_by_side_beside_writes() {
    const READ: Duration = Duration::from_millis(50);
    const SPAN: Duration = Duration::from_millis(500);
    let lock =
        RedlockLayer::new(nodes().0, |request: &Request<_>| key(request)).with_shared_reads(true);
    let app = |lock: RedlockLayer<_>| {
        let routes = get(|| sleep(READ)).post(async || ()).route_layer(lock);
        Router::new().route("/report", routes)
    };
    // A read waits for the writes before it. Only the last write waits for reads.
    let reading = app(lock.clone().with_wait(SPAN));
    let (refused, patient) = (app(lock.clone()), app(lock.with_wait(10 * SPAN)));

    let reads = Arc::new(AtomicUsize::new(0));
    let mut readers = JoinSet::new();
    for _ in 0..20 {
        let (app, reads) = (reading.clone(), Arc::clone(&reads));
        readers.spawn(async move {
            loop {
                assert_eq!(status(&app, "GET", "/report").await, StatusCode::OK);
                reads.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    // Ten reads of each client, less those around a write.
    let are_side_by_side = async |what: &str| {
        let before = reads.load(Ordering::Relaxed);
        sleep(SPAN).await;
        let count = reads.load(Ordering::Relaxed) - before;
        assert!(count >= 8 * 20, "{count} reads {what}");
    };
    are_side_by_side("alone").await;
    for _ in 0..4 {
        let write = status(&refused, "POST", "/report").await;
        assert_eq!(write, StatusCode::CONFLICT);
        are_side_by_side("after a write that was refused").await;
    }
    assert_eq!(status(&patient, "POST", "/report").await, StatusCode::OK);
    are_side_by_side("after a write").await;
    readers.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_has_a_larger_fencing_token_each_time() {
    let token = async |lock: HeldLock| lock.fencing_token().unwrap().to_string();
    let lock = RedlockLayer::new(nodes().0, |request: &Request<_>| key(request)).with_fencing(true);
    let app = Router::new().route("/", axum::routing::post(token).route_layer(lock));
    let mut last = 0_u64;
    for _ in 0..5 {
        let token = text(send(&app, request("POST", "/")).await)
            .await
            .parse()
            .unwrap();
        assert!(token > last, "{token} after {last}");
        last = token;
    }
}

#[tokio::test(start_paused = true)]
async fn a_layer_that_fails_open_lets_pass_and_says_so() {
    let nodes = [FaultyNode::new(), FaultyNode::new(), FaultyNode::new()];
    let redsync = redsync::Redsync::new(nodes.clone()).unwrap();
    let lock = RedlockLayer::new(redsync, |request: &Request<_>| key(request));
    let handler = async |lock: Option<HeldLock>, open: Option<Extension<NotLocked>>| {
        format!("{} {}", lock.is_some(), open.is_some())
    };
    let app = |lock| Router::new().route("/", axum::routing::post(handler).route_layer(lock));
    let (open, closed) = (app(lock.clone().with_fail_open(true)), app(lock));

    assert_eq!(
        text(send(&open, request("POST", "/")).await).await,
        "true false"
    );
    for node in &nodes[..2] {
        node.always(Fault::unreachable());
    }
    assert_eq!(
        text(send(&open, request("POST", "/")).await).await,
        "false true"
    );
    assert_eq!(
        status(&closed, "POST", "/").await,
        StatusCode::SERVICE_UNAVAILABLE
    );
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_the_request_holds_already_is_not_waited_for() {
    let (redsync, _) = nodes();
    let by = |prefix: &'static str| {
        RedlockLayer::new(redsync.clone(), |request: &Request<_>| key(request)).with_prefix(prefix)
    };
    let name = async |lock: HeldLock| lock.name().to_owned();
    // The same key twice, and another between.
    let app = Router::new()
        .route("/", axum::routing::post(name).route_layer(by("")))
        .route_layer(by("other:"))
        .layer(by(""));
    assert_eq!(
        text(send(&app, request("POST", "/")).await).await,
        "other:/"
    );
    // Held by another request, it is.
    let _held = redsync.mutex("/").lock().await.unwrap();
    assert_eq!(status(&app, "POST", "/").await, StatusCode::CONFLICT);
}
