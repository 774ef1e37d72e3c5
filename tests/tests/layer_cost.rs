//! The cost of the layer besides its lock, in allocations and tasks.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    time::Duration,
};

use allocation_counter::{AllocationInfo, measure};
use axum::{Router, body::Body, routing};
use bytes::Bytes;
use futures_util::future::join_all;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use redsync::Redsync;
use redsync_tests::wait::until_async;
use redsync_tower::{HeldLock, RedlockLayer, key};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    sync::Barrier,
};
use tower::{Layer, Service, util::ServiceFn};
use tower_http::trace::TraceLayer;

const SOON: Duration = Duration::from_secs(30);

type Answer = Response<Full<Bytes>>;

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

/// The number of allocations on this thread for the second call, which is the same for later ones.
fn per_call<S, B>(runtime: &Runtime, service: &mut S, request: impl Fn() -> Request<B>) -> u64
where
    S: Service<Request<B>, Error = Infallible>,
{
    let mut counts = (0..4).map(|_| {
        let request = request();
        let AllocationInfo { count_total, .. } = measure(|| {
            drop(runtime.block_on(service.call(request)));
        });
        count_total
    });
    counts.next();
    let (second, later) = (counts.next().unwrap(), counts.next().unwrap());
    assert_eq!(second, later, "calls differ");
    second
}

fn bare<B>() -> ServiceFn<impl FnMut(Request<B>) -> Ready<Result<Answer, Infallible>> + Clone> {
    tower::service_fn(|_: Request<B>| ready(Ok(Response::new(Full::default()))))
}

fn request(method: Method) -> Request<()> {
    Request::builder().method(method).uri("/").body(()).unwrap()
}

#[test]
fn a_request_that_passes_allocates_nothing() {
    let runtime = runtime();
    let lock = RedlockLayer::new(Redsync::in_memory(3), key::header("tenant"));
    let get = || request(Method::GET);
    let without = per_call(&runtime, &mut bare(), get);
    let with = per_call(&runtime, &mut lock.layer(bare()), get);
    assert_eq!((without, with), (0, 0));
}

#[test]
fn a_request_that_passes_in_axum_allocates_as_with_any_layer_that_has_a_body_of_its_own() {
    let runtime = runtime();
    let lock = RedlockLayer::new(Redsync::in_memory(3), key::path("order:{id}"));
    let handler = || routing::get(async || "shown");
    let route = |handler| Router::<()>::new().route("/{id}", handler);
    let get = || Request::get("/1").body(Body::empty()).unwrap();
    // Without a subscriber, this layer does as little.
    let other = TraceLayer::new_for_http();
    let without = per_call(&runtime, &mut route(handler().route_layer(other)), get);
    let with = per_call(&runtime, &mut route(handler().route_layer(lock)), get);
    assert_eq!(with, without);
}

/// The allocations of the lock alone, held as the layer holds it.
fn of_the_core(runtime: &Runtime, redsync: &Redsync) -> u64 {
    let lock = |_: Request<()>| {
        let mutex = redsync.mutex("tenant:a");
        async move {
            let mut guard = mutex.try_lock().await.unwrap();
            guard.keep_alive();
            // The layer also watches for the loss of a lock that it extends.
            drop(guard.lost());
            guard.release().await.unwrap();
            Ok::<_, Infallible>(())
        }
    };
    per_call(runtime, &mut tower::service_fn(lock), || {
        request(Method::POST)
    })
}

#[test]
fn a_request_that_is_locked_allocates_little_more_than_its_lock() {
    let runtime = runtime();
    let redsync = Redsync::in_memory(3);
    let core = of_the_core(&runtime, &redsync);
    let lock = RedlockLayer::new(redsync, key::header("tenant"));
    let post = || {
        let mut request = request(Method::POST);
        request.headers_mut().insert("tenant", "a".parse().unwrap());
        request
    };
    let with = per_call(&runtime, &mut lock.layer(bare()), post);
    println!(
        "allocations: {core} for the lock, {} for the layer",
        with - core
    );
    assert!(with <= core + 8, "{with} with the layer, {core} without");
}

#[test]
fn an_empty_body_that_is_to_be_read_first_costs_nothing() {
    let runtime = runtime();
    let lock = RedlockLayer::new(Redsync::in_memory(3), key::header("tenant"));
    let post = || {
        let mut request = request(Method::POST).map(|()| Full::<Bytes>::default());
        request.headers_mut().insert("tenant", "a".parse().unwrap());
        request
    };
    let without = per_call(&runtime, &mut lock.layer(bare()), post);
    let first = lock.with_body_first(1024, |_| Full::default());
    let with = per_call(&runtime, &mut first.layer(bare()), post);
    assert_eq!(with, without);
}

#[test]
fn all_locks_have_one_task_that_ends_by_itself_and_only_if_they_are_extended() {
    for (keep_alive, tasks) in [(true, 1), (false, 0)] {
        let alive = || Handle::current().metrics().num_alive_tasks();
        let expiry = Duration::from_millis(60);
        let redsync = Redsync::in_memory(3)
            .with_defaults(|mutex| mutex.with_expiry(expiry))
            .unwrap();
        let lock =
            RedlockLayer::new(redsync.clone(), key::header("tenant")).with_keep_alive(keep_alive);
        let meeting = Arc::new(Barrier::new(3));
        let inner = tower::service_fn(move |request: Request<()>| {
            let meeting = Arc::clone(&meeting);
            async move {
                assert!(request.extensions().get::<HeldLock>().is_some());
                meeting.wait().await;
                assert_eq!(alive(), tasks);
                // No handler ends before all have counted.
                meeting.wait().await;
                Ok::<_, Infallible>(Answer::default())
            }
        });
        runtime().block_on(async {
            // A runtime that is new to it is asked once whether it lives, by a task.
            drop(redsync.mutex("first").lock().await.unwrap());
            redsync.drain().await;
            until_async("no task is left", SOON, async || alive() == 0).await;
            let requests = ["a", "b", "c"].map(|tenant| {
                let mut request = request(Method::POST);
                (request.headers_mut()).insert("tenant", tenant.parse().unwrap());
                lock.layer(inner.clone()).call(request)
            });
            for response in join_all(requests).await {
                assert_eq!(response.unwrap().status(), StatusCode::OK);
            }
            redsync.drain().await;
            until_async("the task has ended", SOON, async || alive() == 0).await;
        });
    }
}
