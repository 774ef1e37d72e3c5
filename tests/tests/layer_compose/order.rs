//! Each row of the docs' table of layers, outside of the lock and inside of it.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use axum::{
    Extension, Router,
    extract::{Request, State},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{self, MethodRouter},
};
use http::{StatusCode, header};
use redsync_tests::wait::until_async;
use tokio::{sync::Barrier, task::JoinSet};
use tower::limit::GlobalConcurrencyLimitLayer;
use tower_http::{compression::CompressionLayer, cors::CorsLayer, limit::RequestBodyLimitLayer};

use crate::support::{LONG, SOON, Stage, World, fetch, post, request, serve};

/// The same handler with a layer outside of the lock, and inside of it.
macro_rules! both {
    ($world:expr, $handler:expr, $layer:expr) => {{
        let handler: MethodRouter = $handler;
        let outside = handler.clone().route_layer($world.layer()).layer($layer);
        let inside = handler.layer($layer).route_layer($world.layer());
        let app = Router::new().route("/outside/{id}", outside);
        serve(app.route("/inside/{id}", inside)).await
    }};
}

fn done() -> MethodRouter {
    routing::post(async || "done")
}

const REQUESTS: usize = 40;

/// One row of a database, and what its transactions wait for before they commit.
#[derive(Clone, Default)]
struct Row {
    value: Arc<AtomicUsize>,
    all_have_worked: Option<Arc<Barrier>>,
}

/// What a transaction has written and not committed.
#[derive(Clone, Default)]
struct Written(Arc<AtomicUsize>);

/// Commits after the response, as layers for transactions and sessions do.
async fn transaction(State(row): State<Row>, mut request: Request, next: Next) -> Response {
    let written = Written::default();
    request.extensions_mut().insert(written.clone());
    let response = next.run(request).await;
    if let Some(barrier) = &row.all_have_worked {
        barrier.wait().await;
    } else {
        tokio::task::yield_now().await;
    }
    let written = written.0.load(Ordering::SeqCst);
    row.value.store(written, Ordering::SeqCst);
    response
}

/// Adds one to the row, in a transaction.
async fn add(State(row): State<Row>, Extension(written): Extension<Written>) {
    let read = row.value.load(Ordering::SeqCst);
    tokio::task::yield_now().await;
    written.0.store(read + 1, Ordering::SeqCst);
}

/// The row after as many requests at the same time.
async fn after_requests(row: &Row, handler: MethodRouter<Row>) -> usize {
    let app = Router::new().route("/{id}", handler);
    let address = serve(app.with_state(row.clone())).await;
    let requests: JoinSet<_> = (0..REQUESTS).map(|_| post(address, "/1")).collect();
    for (status, body) in requests.join_all().await {
        assert_eq!(status, 200, "{body}");
    }
    row.value.load(Ordering::SeqCst)
}

#[tokio::test]
async fn a_transaction_inside_loses_no_update() {
    let (world, row) = (World::new(), Row::default());
    let handler = routing::post(add)
        .layer(from_fn_with_state(row.clone(), transaction))
        .route_layer(world.layer().with_wait(LONG));
    assert_eq!(after_requests(&row, handler).await, REQUESTS);
    world.ends_empty().await;
}

#[tokio::test]
async fn a_transaction_outside_loses_updates_because_it_commits_after_the_release() {
    let world = World::new();
    // Each commits when all have had the lock. Inside, the second would never get it.
    let row = Row {
        all_have_worked: Some(Arc::new(Barrier::new(REQUESTS))),
        ..Row::default()
    };
    let handler = routing::post(add)
        .route_layer(world.layer().with_wait(LONG))
        .layer(from_fn_with_state(row.clone(), transaction));
    assert_eq!(after_requests(&row, handler).await, 1);
    world.ends_empty().await;
}

#[tokio::test]
async fn authentication_outside_comes_before_the_lock() {
    async fn authenticate(request: Request, next: Next) -> Response {
        if request.headers().contains_key(header::AUTHORIZATION) {
            return next.run(request).await;
        }
        StatusCode::UNAUTHORIZED.into_response()
    }
    let world = World::new();
    let address = both!(world, done(), from_fn(authenticate));
    let guard = world.lock("1").await;
    assert_eq!(post(address, "/outside/1").await.0, 401);
    assert_eq!(post(address, "/inside/1").await.0, 409);
    guard.release().await.unwrap();
    assert_eq!(post(address, "/inside/1").await.0, 401);
}

#[tokio::test]
async fn a_body_limit_outside_comes_before_the_lock() {
    let world = World::new();
    let address = both!(world, done(), RequestBodyLimitLayer::new(3));
    let long = |path| request("POST", path).map(|_| "four".into());
    let guard = world.lock("1").await;
    assert_eq!(fetch(address, long("/outside/1")).await.status(), 413);
    assert_eq!(fetch(address, long("/inside/1")).await.status(), 409);
    guard.release().await.unwrap();
    assert_eq!(fetch(address, long("/inside/1")).await.status(), 413);
}

#[tokio::test]
async fn cors_inside_leaves_refusals_unmarked() {
    let world = World::new();
    let address = both!(world, done(), CorsLayer::permissive());
    let _guard = world.lock("1").await;
    for (path, is_marked) in [("/outside/1", true), ("/inside/1", false)] {
        let mut refused = request("POST", path);
        let origin = "https://example.org".parse().unwrap();
        refused.headers_mut().insert(header::ORIGIN, origin);
        let refused = fetch(address, refused).await;
        assert_eq!(refused.status(), 409);
        let headers = refused.headers();
        let marked = headers.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        assert_eq!(marked, is_marked, "{path}");
    }
}

#[tokio::test]
async fn compression_inside_leaves_refusals_as_they_are() {
    let world = World::new();
    let address = both!(world, done(), CompressionLayer::new());
    let _guard = world.lock("1").await;
    for (path, is_compressed) in [("/outside/1", true), ("/inside/1", false)] {
        let mut refused = request("POST", path);
        let encoding = "gzip".parse().unwrap();
        (refused.headers_mut()).insert(header::ACCEPT_ENCODING, encoding);
        let refused = fetch(address, refused).await;
        assert_eq!(refused.status(), 409);
        let compressed = refused.headers().contains_key(header::CONTENT_ENCODING);
        assert_eq!(compressed, is_compressed, "{path}");
    }
}

#[tokio::test]
async fn a_request_holds_its_lock_while_it_waits_for_a_place_in_a_limit_inside() {
    for is_inside in [false, true] {
        let (world, stage) = (World::new(), Stage::new());
        let playing = stage.clone();
        let handler = routing::post(async move || playing.play().await);
        // axum applies a layer once for each connection, and this one keeps its places.
        let limit = GlobalConcurrencyLimitLayer::new(1);
        let handler = if is_inside {
            handler.layer(limit).route_layer(world.layer())
        } else {
            handler.route_layer(world.layer()).layer(limit)
        };
        let arrived = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&arrived);
        let count = from_fn(move |request: Request, next: Next| {
            counter.fetch_add(1, Ordering::SeqCst);
            next.run(request)
        });
        let address = serve(Router::new().route("/{id}", handler.layer(count))).await;
        let first = tokio::spawn(async move { post(address, "/1").await });
        stage.has(1).await;
        let second = tokio::spawn(async move { post(address, "/2").await });
        let seen = async || arrived.load(Ordering::SeqCst) == 2;
        until_async("it has come", SOON, seen).await;
        if is_inside {
            let is_held = async || !world.is_free("2").await;
            until_async("it holds its lock", SOON, is_held).await;
        } else {
            assert!(world.is_free("2").await);
        }
        stage.let_go(2);
        assert_eq!(first.await.unwrap().0, 200);
        assert_eq!(second.await.unwrap().0, 200);
        assert_eq!(stage.most(), 1);
    }
}
