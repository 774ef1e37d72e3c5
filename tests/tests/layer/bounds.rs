//! Where the layer fits: most of this is done when it compiles.

use std::{convert::Infallible, panic::catch_unwind, time::Duration};

use axum::{BoxError, Router, body::Body, error_handling::HandleErrorLayer, routing};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use redsync::Redsync;
use redsync_tower::{
    HeldLock, LockRejection, Redlock, RedlockLayer, ResponseBody,
    future::ResponseFuture,
    key::{self, KeyError, LockKey},
};
use tower::{Layer, Service, ServiceBuilder, ServiceExt, service_fn};
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer};

use crate::support::{Nodes, Unclonable, post, request, secs, send};

const fn assert_service<T: Clone + Send + Sync + 'static>() {}
const fn assert_send<T: Send + 'static>() {}
const fn assert_sync<T: Sync>() {}

type Closure = fn(&Request<Body>) -> String;
type BodyKey = <key::PathKey as key::Key<Body>>::Future;

const _: () = {
    assert_service::<RedlockLayer<key::PathKey>>();
    assert_service::<RedlockLayer<key::HeaderKey>>();
    assert_service::<RedlockLayer<Closure>>();
    assert_service::<Redlock<axum::routing::Route, key::PathKey>>();
    assert_service::<HeldLock>();
    assert_service::<LockRejection>();
    assert_service::<LockKey>();
    assert_service::<KeyError>();
    assert_service::<RedlockLayer<key::ExtractorKey<HeldLock, Closure, String>>>();
    assert_service::<RedlockLayer<key::BodyFirst<key::PathKey, fn(key::BufferedBody) -> Body>>>();
    assert_send::<ResponseFuture<axum::routing::Route, Body>>();
    assert_send::<key::BodyFirstFuture<BodyKey, fn(key::BufferedBody) -> Body, Body>>();
    assert_send::<key::BufferedBody>();
    assert_sync::<key::BufferedBody>();
    assert_send::<ResponseBody<Body>>();
    assert_sync::<ResponseBody<Full<Bytes>>>();
};

fn path_lock(redsync: &Redsync) -> RedlockLayer<key::PathKey> {
    RedlockLayer::new(redsync.clone(), key::path("order:{id}"))
}

async fn handler() -> &'static str {
    "done"
}

/// All lock `order:1` at a POST of `/orders/1`.
fn apps(redsync: &Redsync) -> Vec<(&'static str, Router)> {
    let lock = || path_lock(redsync);
    let route = || Router::new().route("/orders/{id}", routing::get(handler).post(handler));
    let locked = |lock| Router::new().route("/orders/{id}", lock);
    let timeout = || TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, secs(10));
    let late = |_: BoxError| async { StatusCode::REQUEST_TIMEOUT };
    vec![
        ("Router::layer", route().layer(lock())),
        ("Router::route_layer", route().route_layer(lock())),
        (
            "MethodRouter::layer",
            locked(routing::post(handler).layer(lock())),
        ),
        (
            "MethodRouter::route_layer",
            locked(routing::get(handler).post(handler).route_layer(lock())),
        ),
        (
            "with state",
            Router::new()
                .route("/orders/{id}", routing::post(handler).route_layer(lock()))
                .with_state(()),
        ),
        (
            "the body first",
            route().layer(lock().with_body_first(1024, Body::new)),
        ),
        (
            "a time limit outside",
            route().route_layer(ServiceBuilder::new().layer(timeout()).layer(lock())),
        ),
        (
            "a time limit inside",
            route().route_layer(ServiceBuilder::new().layer(lock()).layer(timeout())),
        ),
        (
            "tower's time limit outside",
            route().route_layer(
                ServiceBuilder::new()
                    .layer(HandleErrorLayer::new(late))
                    .timeout(secs(10))
                    .layer(lock()),
            ),
        ),
        (
            "panics caught on both sides",
            route().route_layer(
                ServiceBuilder::new()
                    .layer(CatchPanicLayer::new())
                    .layer(lock())
                    .layer(CatchPanicLayer::new()),
            ),
        ),
        (
            "two locks",
            route()
                .route_layer(lock())
                .route_layer(RedlockLayer::new(redsync.clone(), |_: &Request<_>| "all")),
        ),
        (
            "nested",
            Router::new()
                .nest(
                    "/orders",
                    Router::new().route("/{id}", routing::post(handler)),
                )
                .layer(lock()),
        ),
        ("merged", Router::new().merge(route().layer(lock()))),
    ]
}

#[tokio::test]
async fn a_layer_fits_wherever_axum_takes_one() {
    let nodes = Nodes::new();
    for (place, app) in apps(&nodes.redsync()) {
        let response = send(&app, post("/orders/1")).await;
        assert_eq!(response.status(), StatusCode::OK, "{place}");
        let guard = nodes.redsync().mutex("order:1").lock().await.unwrap();
        let response = send(&app, post("/orders/1")).await;
        assert_eq!(response.status(), StatusCode::CONFLICT, "{place}");
        guard.release().await.unwrap();
    }
}

#[tokio::test]
async fn a_route_layer_of_a_method_router_sees_only_matching_requests() {
    let nodes = Nodes::new();
    let lock = path_lock(&nodes.redsync());
    let handler = routing::post(handler).route_layer(lock);
    let app = Router::new().route("/orders/{id}", handler);
    for (method, uri, status) in [
        (Method::PUT, "/orders/1", StatusCode::METHOD_NOT_ALLOWED),
        (Method::POST, "/nowhere", StatusCode::NOT_FOUND),
    ] {
        assert_eq!(send(&app, request(method, uri)).await.status(), status);
    }
    assert_eq!(nodes.tries(), 0);
}

/// Locks around an axum router with a closure, of which only the request is annotated.
macro_rules! locked_by {
    ($redsync:expr, $closure:expr) => {
        Router::new()
            .route("/orders/{id}", routing::post(handler))
            .layer(RedlockLayer::new($redsync.clone(), $closure))
    };
}

#[tokio::test]
async fn closures_need_no_type_but_that_of_the_request() {
    let nodes = Nodes::new();
    let redsync = nodes.redsync();
    let prefix = String::from("order");
    let apps = [
        locked_by!(redsync, |request: &Request<_>| {
            let id = request.uri().path().rsplit('/').next()?;
            Some(LockKey::from(format!("order:{id}")))
        }),
        locked_by!(redsync, |request: &Request<_>| {
            Some(request.uri().path()[1..].replace("orders/", "order:"))
        }),
        locked_by!(redsync, |request: &Request<_>| {
            request.uri().path()[1..].replace("orders/", "order:")
        }),
        locked_by!(redsync, |_: &Request<_>| LockKey::from("order:1")),
        locked_by!(redsync, |_: &Request<_>| "order:1"),
        locked_by!(redsync, |_: &Request<_>| Some("order:1")),
        locked_by!(redsync, |_: &Request<_>| Ok::<_, KeyError>("order:1")),
        locked_by!(redsync, |request: &Request<_>| {
            let header = request.headers().get("x-none");
            if header.is_some() {
                return Err(KeyError::BadRequest("no".into()));
            }
            Ok(Some(LockKey::from("order:1")))
        }),
        locked_by!(redsync, move |_: &Request<_>| format!("{prefix}:1")),
    ];
    let _guard = nodes.redsync().mutex("order:1").lock().await.unwrap();
    for (number, app) in apps.iter().enumerate() {
        let response = send(app, post("/orders/1")).await;
        assert_eq!(response.status(), StatusCode::CONFLICT, "{number}");
    }
}

/// Without axum: bodies that are neither [`Clone`] nor [`Sync`], and an error type of its own.
#[tokio::test]
async fn a_layer_fits_other_services() {
    #[derive(Debug)]
    struct MyError;
    struct NotSync(std::cell::Cell<u8>);

    let nodes = Nodes::new();
    let service = ServiceBuilder::new()
        .layer(RedlockLayer::new(
            nodes.redsync(),
            |_: &Request<_>| "order:1",
        ))
        .service(service_fn(
            |request: Request<(Unclonable, NotSync)>| async move {
                request.body().1.0.set(7);
                let response: Response<Unclonable> = Response::default();
                if request.uri() == "/broken" {
                    return Err(MyError);
                }
                Ok(response)
            },
        ));
    let request = |uri: &str| {
        let request = Request::builder().method(Method::POST).uri(uri);
        let body = (Unclonable, NotSync(std::cell::Cell::new(0)));
        request.body(body).unwrap()
    };
    let response = tokio::spawn(service.clone().oneshot(request("/")));
    assert!(response.await.unwrap().is_ok());
    let MyError = service.oneshot(request("/broken")).await.unwrap_err();
    assert!(nodes.are_free());
}

#[tokio::test]
async fn layers_are_configured_apart() {
    let nodes = Nodes::new();
    let strict = path_lock(&nodes.redsync());
    let odd = (strict.clone()).with_contention_status(StatusCode::TOO_MANY_REQUESTS);
    let _guard = nodes.redsync().mutex("order:1").lock().await.unwrap();
    for (lock, status) in [
        (strict, StatusCode::CONFLICT),
        (odd, StatusCode::TOO_MANY_REQUESTS),
    ] {
        let app = Router::new().route("/orders/{id}", routing::post(handler).route_layer(lock));
        assert_eq!(send(&app, post("/orders/1")).await.status(), status);
    }
}

#[test]
fn a_service_can_be_taken_apart() {
    let redsync = Nodes::new().redsync();
    let mut service: Redlock<_, key::PathKey> = path_lock(&redsync).layer(7);
    assert_eq!(*service.get_ref(), 7);
    *service.get_mut() = 8;
    assert_eq!(service.clone().into_inner(), 8);
    assert_eq!(path_lock(&redsync).layer(9).into_inner(), 9);
}

/// A call outside of a runtime does not panic: servers may make it before they spawn.
#[test]
fn a_call_needs_no_runtime() {
    let redsync = Nodes::new().redsync();
    let lock = RedlockLayer::new(redsync, |_: &Request<_>| "order:1").with_wait(Duration::MAX);
    let mut service = lock.layer(service_fn(|_: Request<_>| async {
        Ok::<_, Infallible>(Response::new(Body::empty()))
    }));
    let response = service.call(post("/"));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let response = runtime.block_on(response).unwrap();
    assert_eq!(response.status(), StatusCode::OK);
}

#[test]
fn options_that_cannot_work_panic_where_they_are_set() {
    let lock = || path_lock(&Nodes::new().redsync());
    assert!(catch_unwind(|| lock().with_outage_attempts(1)).is_ok());
    assert!(catch_unwind(|| lock().with_outage_attempts(0)).is_err());

    let shared = || {
        let redsync = Nodes::new().redsync();
        let redsync = redsync.with_defaults(|mutex| mutex.shared()).unwrap();
        path_lock(&redsync)
    };
    assert!(catch_unwind(|| shared().with_fencing(false)).is_ok());
    assert!(catch_unwind(|| shared().with_fencing(true)).is_err());
}
