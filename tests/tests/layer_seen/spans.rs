//! The fields of the span for each outcome.

use std::{panic::AssertUnwindSafe, sync::Mutex};

use axum::{Router, routing::post};
use futures_util::FutureExt;
use http_body_util::BodyExt;
use redsync::{
    Guard, NodeError, Redsync,
    node::{AcquireVote, Entry, MemoryNode, NodeWrapper},
};
use redsync_tests::{
    FaultyNode,
    faulty::{Fault, Operation},
};
use redsync_tower::{HeldLock, HoldUntil, OnLoss, RedlockLayer, key::LockKey};
use tokio::time::{sleep, timeout};

use crate::{
    Stage,
    capture::{Capture, Fields},
    ms, nodes, orders, owner_values, send, status, taking,
};

/// A node on which something else uses the keys.
struct Occupied(MemoryNode);

impl NodeWrapper for Occupied {
    type Inner = MemoryNode;

    fn inner(&self) -> &MemoryNode {
        &self.0
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        let name = entry.names[0].clone();
        Ok(AcquireVote::NotALock { name })
    }
}

/// Checks all fields but one that differs by chance.
#[track_caller]
fn assert_fields(fields: &Fields, expected: &[(&'static str, &str)]) {
    let expected = expected
        .iter()
        .map(|(name, value)| (*name, (*value).to_owned()));
    assert_eq!(*fields, expected.collect());
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_held_to_the_end_is_recorded() {
    let (redsync, nodes) = nodes();
    let redsync = redsync
        .with_defaults(|mutex| mutex.with_key_prefix("shop:"))
        .unwrap();
    let (capture, _listening) = Capture::listen();
    let stage = Stage::new();
    let app = stage.app(orders(&redsync).with_prefix("eu:").with_fencing(true));
    let request = tokio::spawn({
        let app = app.clone();
        async move { status(&app).await }
    });
    stage.has_begun().await;
    let values = owner_values(&nodes, "shop:eu:order:1").await;
    // The open span already has the fields that are known.
    let mut open = capture.open();
    let token = open.remove("fencing_token").expect("a token");
    assert!(token.parse::<u64>().is_ok(), "{token}");
    let known = [
        ("attempts", "1"),
        ("mode", "exclusive"),
        ("name", "shop:eu:order:1"),
        ("wait_ms", "0"),
    ];
    assert_fields(&open, &known);

    sleep(ms(1500)).await;
    stage.let_go();
    assert_eq!(request.await.unwrap(), 200);
    let mut fields = capture.one();
    assert_eq!(fields.remove("fencing_token"), Some(token));
    assert_fields(
        &fields,
        &[&known[..], &[("hold_ms", "1500"), ("outcome", "acquired")]].concat(),
    );

    redsync.drain().await;
    // This includes the events of the core.
    let all = capture.all();
    assert!(all.contains("shop:eu:order:1"));
    assert!(values.len() >= 2);
    for value in values {
        assert!(value.len() > 16 && !all.contains(&value), "{all}");
    }
}

#[tokio::test(start_paused = true)]
async fn several_shared_names_are_recorded() {
    let (redsync, _) = nodes();
    let (capture, _listening) = Capture::listen();
    let lock = RedlockLayer::new(redsync, |_: &http::Request<_>| {
        LockKey::from("b").and("a").shared()
    });
    assert_eq!(status(&taking(lock, ms(5))).await, 200);
    assert_fields(
        &capture.one(),
        &[
            ("attempts", "1"),
            ("hold_ms", "5"),
            ("mode", "shared"),
            ("name", "a, b"),
            ("outcome", "acquired"),
            ("wait_ms", "0"),
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn the_wait_and_its_attempts_are_recorded() {
    // Another process.
    let nodes: Vec<_> = (0..3).map(|_| FaultyNode::new()).collect();
    let held = Redsync::new(nodes.clone())
        .unwrap()
        .mutex("order:1")
        .lock()
        .await
        .unwrap();
    let redsync = Redsync::new(nodes.clone()).unwrap();
    let tries = || {
        let operations = nodes[0].operations().into_iter();
        operations
            .filter(|operation| *operation == Operation::Acquire)
            .count()
    };
    let before = tries();
    let (capture, _listening) = Capture::listen();
    let app = taking(orders(&redsync).with_wait(ms(2000)), ms(5));
    assert_eq!(status(&app).await, 423);
    let fields = capture.one();
    assert_eq!(fields["outcome"], "timed_out");
    assert_eq!(fields["wait_ms"], "2000");
    let attempts: usize = fields["attempts"].parse().unwrap();
    assert_eq!(attempts, tries() - before);
    assert!(attempts > 3, "{attempts}");
    assert!(!fields.contains_key("hold_ms"));

    let before = tries();
    let waiting = tokio::spawn(async move { status(&app).await });
    sleep(ms(1000)).await;
    held.release().await.unwrap();
    assert_eq!(waiting.await.unwrap(), 200);
    let fields = capture.one();
    assert_eq!(fields["outcome"], "acquired");
    assert_eq!(fields["hold_ms"], "5");
    assert!(fields["wait_ms"].parse::<u64>().unwrap() >= 1000);
    let attempts: usize = fields["attempts"].parse().unwrap();
    assert_eq!(attempts, tries() - before);
}

#[tokio::test(start_paused = true)]
async fn a_refused_lock_is_recorded() {
    let (redsync, nodes) = nodes();
    let (capture, _listening) = Capture::listen();
    let held = redsync.mutex("order:1").lock().await.unwrap();
    assert_eq!(status(&taking(orders(&redsync), ms(5))).await, 409);
    let rest = [("mode", "exclusive"), ("name", "order:1")];
    assert_fields(
        &capture.one(),
        &[
            &rest[..],
            &[("attempts", "1"), ("outcome", "taken"), ("wait_ms", "0")],
        ]
        .concat(),
    );

    let full = orders(&redsync).with_max_pending_per_key(0);
    assert_eq!(status(&taking(full, ms(5))).await, 423);
    assert_fields(
        &capture.one(),
        &[&rest[..], &[("outcome", "too_many_waiting")]].concat(),
    );
    held.release().await.unwrap();

    let mistaken = orders(&Redsync::new([Occupied(MemoryNode::new())]).unwrap());
    assert_eq!(status(&taking(mistaken, ms(5))).await, 500);
    assert_eq!(capture.one()["outcome"], "misconfigured");
    drop(nodes);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_recorded() {
    let nodes: Vec<_> = (0..3).map(|_| FaultyNode::new()).collect();
    for node in &nodes[1..] {
        node.always(Fault::unreachable());
    }
    let redsync = Redsync::new(nodes).unwrap();
    let (capture, _listening) = Capture::listen();
    assert_eq!(status(&taking(orders(&redsync), ms(5))).await, 503);
    let fields = capture.one();
    assert_eq!(
        (&*fields["outcome"], &*fields["attempts"]),
        ("unavailable", "1")
    );
    let open = orders(&redsync).with_fail_open(true).with_wait(ms(5000));
    assert_eq!(status(&taking(open, ms(5))).await, 200);
    let fields = capture.one();
    assert_eq!(
        (&*fields["outcome"], &*fields["attempts"]),
        ("failed_open", "2")
    );
    assert!(!fields.contains_key("hold_ms"));
}

#[tokio::test(start_paused = true)]
async fn a_lost_lock_is_recorded() {
    for (on_loss, answer, hold) in [(OnLoss::Abort, 500, "988"), (OnLoss::Finish, 200, "5000")] {
        let (redsync, _) = nodes();
        let redsync = redsync
            .with_defaults(|mutex| mutex.with_expiry(ms(1000)))
            .unwrap();
        let (capture, _listening) = Capture::listen();
        let lock = orders(&redsync)
            .with_keep_alive(false)
            .with_on_loss(on_loss);
        assert_eq!(status(&taking(lock, ms(5000))).await, answer);
        let fields = capture.one();
        assert_eq!(fields["outcome"], "lost");
        assert!(
            fields["hold_ms"]
                .parse::<u64>()
                .unwrap()
                .abs_diff(hold.parse().unwrap())
                <= 1
        );
    }
    let (redsync, nodes) = nodes();
    let (capture, _listening) = Capture::listen();
    let stage = Stage::new();
    let app = stage.app(orders(&redsync));
    let request = tokio::spawn(async move { status(&app).await });
    stage.has_begun().await;
    nodes.iter().for_each(MemoryNode::clear);
    sleep(ms(10)).await;
    stage.let_go();
    assert_eq!(request.await.unwrap(), 500);
    let fields = capture.one();
    assert_eq!((&*fields["outcome"], &*fields["hold_ms"]), ("lost", "10"));
}

#[tokio::test(start_paused = true)]
async fn a_dropped_request_is_recorded() {
    let (redsync, _) = nodes();
    let (capture, _listening) = Capture::listen();
    let app = taking(orders(&redsync), ms(5000));
    timeout(ms(1200), status(&app)).await.unwrap_err();
    let rest = [
        ("mode", "exclusive"),
        ("name", "order:1"),
        ("outcome", "dropped"),
    ];
    assert_fields(
        &capture.one(),
        &[
            &rest[..],
            &[("attempts", "1"), ("hold_ms", "1200"), ("wait_ms", "0")],
        ]
        .concat(),
    );
    redsync.drain().await;

    let _held = redsync.mutex("order:1").lock().await.unwrap();
    let app = taking(orders(&redsync).with_wait(ms(5000)), ms(0));
    timeout(ms(700), status(&app)).await.unwrap_err();
    assert_fields(&capture.one(), &[&rest[..], &[("wait_ms", "700")]].concat());
}

#[tokio::test(start_paused = true)]
async fn a_panic_of_the_handler_is_recorded() {
    let (redsync, _) = nodes();
    let (capture, _listening) = Capture::listen();
    let handler = async || {
        sleep(ms(30)).await;
        if true {
            panic!("as it is told");
        }
    };
    let app = Router::new().route("/orders/{id}", post(handler).route_layer(orders(&redsync)));
    let panicked = AssertUnwindSafe(status(&app)).catch_unwind().await;
    panicked.unwrap_err();
    let fields = capture.one();
    assert_eq!(
        (&*fields["outcome"], &*fields["hold_ms"]),
        ("dropped", "30")
    );
}

#[tokio::test(start_paused = true)]
async fn a_detached_lock_is_recorded() {
    static JOB: Mutex<Option<Guard>> = Mutex::new(None);
    let (redsync, _) = nodes();
    let (capture, _listening) = Capture::listen();
    let handler = async |lock: HeldLock| {
        sleep(ms(20)).await;
        *JOB.lock().unwrap() = lock.detach();
        sleep(ms(20)).await;
    };
    let app = Router::new().route("/orders/{id}", post(handler).route_layer(orders(&redsync)));
    // One is answered, the other cut off.
    for (limit, hold) in [(ms(100), "40"), (ms(30), "30")] {
        let answered = timeout(limit, status(&app)).await;
        assert_eq!(answered.is_ok(), hold == "40");
        let guard = JOB.lock().unwrap().take().expect("a guard");
        let fields = capture.one();
        assert_eq!(
            (&*fields["outcome"], &*fields["hold_ms"]),
            ("detached", hold)
        );
        guard.release().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_held_until_the_end_of_the_body_is_recorded() {
    let (redsync, nodes) = nodes();
    let lock = orders(&redsync).with_hold_until(HoldUntil::BodyEnd);
    for (cleared, outcome) in [(false, "acquired"), (true, "lost")] {
        let (capture, _listening) = Capture::listen();
        let response = send(&taking(lock.clone(), ms(10))).await;
        if cleared {
            nodes.iter().for_each(MemoryNode::clear);
        }
        sleep(ms(9000)).await;
        assert!(capture.closed().is_empty());
        response.into_body().collect().await.unwrap();
        let fields = capture.one();
        assert_eq!(
            (&*fields["outcome"], &*fields["hold_ms"]),
            (outcome, "9010")
        );
        redsync.drain().await;
    }
}
