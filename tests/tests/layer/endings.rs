//! However a request ends, its lock is released, and never before its handler is gone.

use std::{
    convert::Infallible,
    future::Future,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    thread,
};

use axum::{Router, routing};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use redsync_tower::{HeldLock, HoldUntil, RedlockLayer, key};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
use tower::{Layer, ServiceBuilder, ServiceExt, service_fn};
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};

use crate::support::{Nodes, OnDrop, ms, post, secs, send};

fn order_one<B>(_: &Request<B>) -> &'static str {
    "order:1"
}

#[tokio::test(start_paused = true)]
async fn the_response_waits_for_the_release() {
    let nodes = Nodes::new();
    let lock = RedlockLayer::new(nodes.redsync(), key::path("order:{id}"));
    let app = Router::new().route("/orders/{id}", routing::post(|| async {}).route_layer(lock));
    nodes.release_takes(ms(100));
    for _ in 0..3 {
        let start = Instant::now();
        let response = send(&app, post("/orders/1")).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(start.elapsed(), ms(100));
        assert!(nodes.are_free());
    }
}

#[tokio::test(start_paused = true)]
async fn a_release_that_hangs_delays_the_response_by_no_more_than_the_limit() {
    let nodes = Nodes::new();
    let redsync = nodes.redsync();
    let redsync = redsync.with_defaults(|mutex| mutex.with_node_timeout(ms(400)));
    let lock = RedlockLayer::new(redsync.unwrap(), key::path("order:{id}"));
    let app = Router::new().route("/orders/{id}", routing::post(|| async {}).route_layer(lock));
    nodes.release_takes(secs(5));
    let start = Instant::now();
    let response = send(&app, post("/orders/1")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(start.elapsed(), ms(400));
}

#[tokio::test(start_paused = true)]
async fn nodes_that_are_down_at_the_release_spoil_no_response() {
    let nodes = Arc::new(Nodes::new());
    let lock = RedlockLayer::new(nodes.redsync(), key::path("order:{id}"));
    let down = Arc::clone(&nodes);
    let handler = routing::post(move || async move { down.take_down(3) }).route_layer(lock);
    let app = Router::new().route("/orders/{id}", handler);
    let response = send(&app, post("/orders/1")).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_the_service_passes_and_releases() {
    let nodes = Nodes::new();
    let service =
        RedlockLayer::new(nodes.redsync(), order_one).layer(service_fn(|_: Request<()>| async {
            sleep(ms(10)).await;
            Err::<Response<Full<Bytes>>, _>(io::Error::other("the disk is full"))
        }));
    nodes.release_takes(ms(100));
    let mut request = Request::new(());
    *request.method_mut() = http::Method::POST;
    let start = Instant::now();
    let error: io::Error = service.oneshot(request).await.expect_err("the error");
    assert_eq!(error.to_string(), "the disk is full");
    assert_eq!(start.elapsed(), ms(110));
    assert!(nodes.are_free());
}

#[tokio::test]
async fn a_panic_that_is_caught_releases() {
    let nodes = Nodes::new();
    let redsync = nodes.redsync();
    let lock = RedlockLayer::new(redsync.clone(), key::path("order:{id}"));
    let handler = || async {
        tokio::task::yield_now().await;
        if true {
            panic!("the handler's mistake");
        }
    };
    let app = Router::new()
        .route("/orders/{id}", routing::post(handler).route_layer(lock))
        .layer(CatchPanicLayer::new());
    for _ in 0..3 {
        let response = send(&app, post("/orders/1")).await;
        assert_eq!(response.status(), StatusCode::INTERNAL_SERVER_ERROR);
        redsync.drain().await;
        assert_eq!(nodes.keys(), [0, 0, 0]);
    }
}

#[tokio::test]
async fn a_panic_that_ends_the_task_releases() {
    let nodes = Nodes::new();
    let redsync = nodes.redsync();
    // In the future, and in the call that makes it.
    for at_once in [false, true] {
        let service = service_fn(move |_: Request<_>| {
            assert!(!at_once, "the service's mistake");
            async move {
                tokio::task::yield_now().await;
                assert!(at_once, "the service's mistake");
                Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
            }
        });
        let service = RedlockLayer::new(redsync.clone(), order_one).layer(service);
        let task = tokio::spawn(send(&service, post("/orders/1")));
        assert!(task.await.expect_err("a panic").is_panic());
        redsync.drain().await;
        assert_eq!(nodes.tries(), 1 + usize::from(at_once));
        assert_eq!(nodes.keys(), [0, 0, 0]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_out_around_the_layer_releases() {
    let nodes = Nodes::new();
    let redsync = nodes.redsync();
    let lock = RedlockLayer::new(redsync.clone(), key::path("order:{id}"));
    let late = StatusCode::REQUEST_TIMEOUT;
    let layers = ServiceBuilder::new()
        .layer(TimeoutLayer::with_status_code(late, secs(1)))
        .layer(lock);
    let handler = routing::post(|| sleep(secs(60))).route_layer(layers);
    let app = Router::new().route("/orders/{id}", handler);
    let start = Instant::now();
    assert_eq!(send(&app, post("/orders/1")).await.status(), late);
    redsync.drain().await;
    assert_eq!(start.elapsed(), secs(1));
    assert_eq!(nodes.keys(), [0, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_time_out_while_a_request_waits_leaves_nothing() {
    let nodes = Nodes::new();
    let redsync = nodes.redsync();
    let lock = RedlockLayer::new(redsync.clone(), key::path("order:{id}")).with_wait(secs(60));
    let late = StatusCode::REQUEST_TIMEOUT;
    let app = Router::new()
        .route("/orders/{id}", routing::post(|| async {}).route_layer(lock))
        .layer(TimeoutLayer::with_status_code(late, secs(1)));
    let mut guard = nodes.redsync().mutex("order:1").lock().await.unwrap();
    guard.keep_alive();
    assert_eq!(send(&app, post("/orders/1")).await.status(), late);
    redsync.drain().await;
    let tries = nodes.tries();
    assert!(tries > 2, "{tries}");
    guard.release().await.unwrap();
    sleep(secs(60)).await;
    assert_eq!(nodes.tries(), tries, "it does not go on");
    assert_eq!(nodes.keys(), [0, 0, 0]);
}

/// What was spawned runs on other threads than the one that drops.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_handler_is_gone_before_the_lock() {
    let nodes = Arc::new(Nodes::new());
    let redsync = nodes.redsync();
    let lock = RedlockLayer::new(redsync.clone(), key::path("order:{id}"));
    let (started, dropped) = (Arc::new(Notify::new()), Arc::new(AtomicBool::new(false)));
    let handler = {
        let (nodes, started) = (Arc::clone(&nodes), Arc::clone(&started));
        let dropped = Arc::clone(&dropped);
        move || async move {
            let _at_the_end = OnDrop(|| {
                // Real time has to pass, in which a release would be done.
                for _ in 0..20 {
                    assert!(!nodes.are_free());
                    thread::sleep(ms(5));
                }
                dropped.store(true, Ordering::SeqCst);
            });
            started.notify_one();
            sleep(secs(60)).await;
        }
    };
    let app = Router::new().route("/orders/{id}", routing::post(handler).route_layer(lock));
    tokio::select! {
        _ = send(&app, post("/orders/1")) => unreachable!("it works still"),
        () = started.notified() => {}
    }
    assert!(dropped.load(Ordering::SeqCst));
    redsync.drain().await;
    assert_eq!(nodes.keys(), [0, 0, 0]);
}

/// A handler that is done at once, and keeps something up to its drop, as a combinator of futures can.
struct Keeping {
    lock: HeldLock,
    drops: Arc<AtomicUsize>,
}

impl Future for Keeping {
    type Output = Result<Response<Full<Bytes>>, Infallible>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(Response::new(Full::from("done"))))
    }
}

impl Drop for Keeping {
    fn drop(&mut self) {
        assert!(!self.lock.is_lost());
        self.drops.fetch_add(1, Ordering::SeqCst);
    }
}

#[tokio::test]
async fn what_a_handler_that_is_done_has_kept_is_gone_before_the_lock() {
    let drops = Arc::new(AtomicUsize::new(0));
    for until in [HoldUntil::Response, HoldUntil::BodyEnd] {
        let layer = RedlockLayer::new(Nodes::new().redsync(), order_one).with_hold_until(until);
        let drops = Arc::clone(&drops);
        let service = layer.layer(service_fn(move |request: Request<Full<Bytes>>| Keeping {
            lock: request.extensions().get::<HeldLock>().unwrap().clone(),
            drops: Arc::clone(&drops),
        }));
        let request = Request::post("/").body(Full::default()).unwrap();
        let response = service.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!(drops.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_future_that_is_never_polled_asks_for_nothing() {
    let nodes = Nodes::new();
    let redsync = nodes.redsync();
    let service = RedlockLayer::new(redsync.clone(), order_one);
    let service = service.layer(service_fn(|_: Request<_>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    }));
    drop(tower::Service::call(
        &mut service.clone(),
        post("/orders/1"),
    ));
    redsync.drain().await;
    assert_eq!(nodes.tries(), 0);
}
