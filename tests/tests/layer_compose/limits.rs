//! With limits and buffers, outside and inside.

use std::convert::Infallible;

use axum::body::Body;
use futures_util::future::join_all;
use http::{Request, Response};
use redsync_tower::RedlockLayer;
use tower::{BoxError, Service, ServiceBuilder, ServiceExt, service_fn};

use crate::support::{LONG, SOON, Stage, World};

type Answer = Result<Response<Body>, Infallible>;

/// A service that yields a few times, so that others run meanwhile.
fn service(
    stage: Stage,
) -> impl Service<
    Request<Body>,
    Response = Response<Body>,
    Error = Infallible,
    Future = impl Future<Output = Answer> + Send,
> + Clone
+ Send
+ 'static {
    service_fn(move |_: Request<Body>| {
        let stage = stage.clone();
        async move {
            let _on_stage = stage.step_on();
            for _ in 0..10 {
                tokio::task::yield_now().await;
            }
            Ok(Response::new(Body::empty()))
        }
    })
}

/// Sends ten requests at a time, for as many names as is said, and waits for all.
async fn ten<S, B>(service: S, names: usize)
where
    S: Service<Request<Body>, Response = Response<B>, Error: Into<BoxError>> + Clone,
{
    let requests = (0..10).map(|number| {
        let request = Request::post(format!("/{}", number % names));
        let request = request.body(Body::empty()).unwrap();
        service.clone().oneshot(request)
    });
    let responses = tokio::time::timeout(SOON, join_all(requests)).await;
    for response in responses.expect("all end") {
        let response = response.map_err(Into::into).expect("an answer");
        assert_eq!(response.status(), 200);
    }
}

macro_rules! lock {
    ($world:expr) => {
        RedlockLayer::new($world.redsync.clone(), |request: &Request<Body>| {
            request.uri().path().to_owned()
        })
        .with_wait(LONG)
    };
}

#[tokio::test]
async fn a_concurrency_limit_inside_the_layer_works() {
    let (world, stage) = (World::new(), Stage::new());
    let limited = ServiceBuilder::new()
        .layer(lock!(world))
        .concurrency_limit(2)
        .service(service(stage.clone()));
    ten(limited.clone(), 5).await;
    assert!(stage.most() <= 2, "{}", stage.most());
    ten(limited, 1).await;
    assert_eq!(stage.begun(), 20);
    world.ends_empty().await;
}

#[tokio::test]
async fn a_concurrency_limit_outside_the_layer_works() {
    let (world, stage) = (World::new(), Stage::new());
    let limited = ServiceBuilder::new()
        .concurrency_limit(2)
        .layer(lock!(world))
        .service(service(stage.clone()));
    ten(limited.clone(), 5).await;
    assert!(stage.most() <= 2, "{}", stage.most());
    ten(limited, 1).await;
    assert_eq!(stage.begun(), 20);
    world.ends_empty().await;
}

#[tokio::test]
async fn a_buffer_inside_the_layer_works() {
    let (world, stage) = (World::new(), Stage::new());
    let buffered = ServiceBuilder::new()
        .layer(lock!(world))
        .buffer(1)
        .service(service(stage.clone()));
    ten(buffered.clone(), 1).await;
    assert_eq!(stage.most(), 1);
    ten(buffered, 10).await;
    assert_eq!(stage.begun(), 20);
    world.ends_empty().await;
}

#[tokio::test]
async fn a_buffer_outside_the_layer_works() {
    let (world, stage) = (World::new(), Stage::new());
    let buffered = ServiceBuilder::new()
        .buffer(1)
        .layer(lock!(world))
        .service(service(stage.clone()));
    ten(buffered.clone(), 1).await;
    assert_eq!(stage.most(), 1);
    ten(buffered, 10).await;
    assert_eq!(stage.begun(), 20);
    world.ends_empty().await;
}

#[tokio::test]
async fn a_request_that_is_dropped_behind_a_buffer_releases() {
    let (world, stage) = (World::new(), Stage::new());
    let playing = stage.clone();
    let handler = service_fn(move |_: Request<Body>| {
        let stage = playing.clone();
        async move {
            stage.play().await;
            Ok::<_, Infallible>(Response::new(Body::empty()))
        }
    });
    let buffered = ServiceBuilder::new()
        .buffer(10)
        .layer(lock!(world))
        .service(handler);
    let request = Request::post("/1").body(Body::empty()).unwrap();
    let request = tokio::spawn(buffered.clone().oneshot(request));
    stage.has(1).await;
    assert!(!world.is_free("/1").await);
    request.abort();
    stage.has(0).await;
    world.until_free("/1").await;
    world.ends_empty().await;
}
