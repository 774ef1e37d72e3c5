//! The functions of the service that the layer calls, and the label of a layer.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
    time::Duration,
};

use http::StatusCode;
use redsync::node::MemoryNode;
use redsync_tower::{HoldUntil, LockRejection, OnLoss, RedlockLayer, key};
use tracing::Span;

use crate::{Stage, capture::Capture, ms, nodes, orders, send, status, taking};

/// What has been reported.
#[derive(Clone, Default)]
struct Reports(Arc<Mutex<Vec<String>>>);

impl Reports {
    fn of<K>(&self, lock: RedlockLayer<K>) -> RedlockLayer<K> {
        let [refused, lost] = [(); 2].map(|()| self.clone());
        lock.on_refused(move |rejection: &LockRejection, wait: Duration, _: &Span| {
            let (reason, status) = (rejection.reason(), rejection.status().as_u16());
            let after = rejection.retry_after().map(|after| after.as_secs());
            refused.add(format!("{reason:?} {status} {wait:?} {after:?}"));
        })
        .on_lost(move |name: &str, hold: Duration, _: &Span| lost.add(format!("{name} {hold:?}")))
    }

    fn add(&self, report: String) {
        self.0.lock().unwrap().push(report);
    }

    #[track_caller]
    fn assert(&self, expected: &[&str]) {
        assert_eq!(std::mem::take(&mut *self.0.lock().unwrap()), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_learns_of_each_refusal_with_what_the_client_gets() {
    let (redsync, _) = nodes();
    let reports = Reports::default();
    let lock = || reports.of(orders(&redsync));
    assert_eq!(status(&taking(lock(), ms(250))).await, 200);
    reports.assert(&[]);

    let held = redsync.mutex("order:1").lock().await.unwrap();
    let busy = lock().with_contention_status(StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(status(&taking(busy, ms(1))).await, 429);
    let patient = lock().with_wait(ms(500)).with_retry_after(ms(4000));
    assert_eq!(status(&taking(patient, ms(1))).await, 423);
    reports.assert(&["Taken 429 0ns Some(1)", "TimedOut 423 500ms Some(4)"]);
    let full = lock().with_max_pending_total(0);
    assert_eq!(status(&taking(full, ms(1))).await, 423);
    reports.assert(&["TooManyWaiting 423 0ns Some(1)"]);
    held.release().await.unwrap();
    let nameless = RedlockLayer::new(redsync.clone(), key::header("no-such"));
    assert_eq!(status(&taking(reports.of(nameless), ms(1))).await, 400);
    reports.assert(&["BadRequest 400 0ns None"]);
}

#[tokio::test(start_paused = true)]
async fn a_service_learns_of_each_lost_lock_once() {
    for on_loss in [OnLoss::Abort, OnLoss::Finish] {
        let (redsync, memory) = nodes();
        let reports = Reports::default();
        let stage = Stage::new();
        let lock = reports.of(orders(&redsync)).with_on_loss(on_loss);
        let app = stage.app(lock.with_keep_alive(false).with_expiry(ms(10_000)));
        let request = tokio::spawn(async move { status(&app).await });
        stage.has_begun().await;
        memory.iter().for_each(MemoryNode::clear);
        // Without keep-alive it is noticed at the end of the validity.
        tokio::time::sleep(ms(12_000)).await;
        stage.let_go();
        let expected = if on_loss == OnLoss::Abort { 500 } else { 200 };
        assert_eq!(request.await.unwrap(), expected);
        let hold = if on_loss == OnLoss::Abort {
            "9.898s"
        } else {
            "12s"
        };
        reports.assert(&[&format!("order:1 {hold}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_service_learns_of_a_lock_that_is_lost_while_the_body_is_sent() {
    let (redsync, _) = nodes();
    let reports = Reports::default();
    let lock = reports.of(orders(&redsync));
    let lock = lock
        .with_hold_until(HoldUntil::BodyEnd)
        .with_keep_alive(false);
    let response = send(&taking(lock.with_expiry(ms(1000)), ms(1))).await;
    tokio::time::sleep(ms(2000)).await;
    drop(response);
    reports.assert(&["order:1 2.001s"]);
}

#[tokio::test(start_paused = true)]
async fn the_span_of_a_lock_has_the_label_of_its_layer() {
    let (capture, _listening) = Capture::listen();
    let (redsync, _) = nodes();
    assert_eq!(
        status(&taking(orders(&redsync).with_label("orders"), ms(1))).await,
        200
    );
    assert_eq!(capture.one()["layer"], "orders");
    assert_eq!(status(&taking(orders(&redsync), ms(1))).await, 200);
    assert!(!capture.one().contains_key("layer"));
}

/// A layer whose callbacks panic.
fn panicking<K>(lock: RedlockLayer<K>) -> RedlockLayer<K> {
    lock.on_refused(|_: &LockRejection, _: Duration, _: &Span| panic!("on_refused"))
        .on_lost(|_: &str, _: Duration, _: &Span| panic!("on_lost"))
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_panics_does_not_change_the_outcome_of_a_refusal() {
    let (capture, _listening) = Capture::listen();
    let (redsync, _) = nodes();
    let held = redsync.mutex("order:1").lock().await.unwrap();
    let app = taking(panicking(orders(&redsync)), ms(1));
    assert!(
        tokio::spawn(async move { status(&app).await })
            .await
            .unwrap_err()
            .is_panic()
    );
    assert_eq!(capture.one()["outcome"], "taken");
    held.release().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_callback_that_panics_does_not_change_the_outcome_of_a_lost_lock() {
    for on_loss in [OnLoss::Abort, OnLoss::Finish] {
        let (capture, _listening) = Capture::listen();
        let (redsync, _) = nodes();
        let lock = panicking(orders(&redsync)).with_on_loss(on_loss);
        let lock = lock.with_keep_alive(false).with_expiry(ms(1000));
        let app = taking(lock, ms(2000));
        assert!(
            tokio::spawn(async move { status(&app).await })
                .await
                .unwrap_err()
                .is_panic()
        );
        let span = capture.one();
        assert_eq!(span["outcome"], "lost", "{on_loss:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_a_panic_drops_does_not_call_the_service() {
    let (capture, _listening) = Capture::listen();
    let (redsync, _) = nodes();
    let (calls, unwinding) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (called, within) = (Arc::clone(&calls), Arc::clone(&unwinding));
    // A panic here, while another unwinds, would abort the tests.
    let lock = orders(&redsync).on_lost(move |_: &str, _: Duration, _: &Span| {
        called.fetch_add(1, Relaxed);
        within.fetch_add(usize::from(thread::panicking()), Relaxed);
    });
    let lock = lock
        .with_hold_until(HoldUntil::BodyEnd)
        .with_keep_alive(false);
    let app = taking(lock.with_expiry(ms(1000)), ms(1));
    for panics in [true, false] {
        let response = send(&app).await;
        tokio::time::sleep(ms(2000)).await;
        let dropped = catch_unwind(AssertUnwindSafe(|| {
            let _response = response;
            assert!(!panics, "the task of the connection panics");
        }));
        assert_eq!(dropped.is_err(), panics);
        assert_eq!(unwinding.load(Relaxed), 0);
        assert_eq!(calls.load(Relaxed), usize::from(!panics));
        assert_eq!(capture.one()["outcome"], "lost");
    }
}
