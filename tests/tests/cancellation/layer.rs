//! The futures of the layer: those of its services and of its keys.

use std::{convert::Infallible, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::Path,
    routing::post,
};
use futures_util::{FutureExt, Stream, StreamExt, stream};
use http::{Request, request::Parts};
use http_body_util::BodyExt;
use redsync_tower::{HeldLock, HoldUntil, RedlockLayer, key};
use tokio::time::sleep;
use tower::ServiceExt;

use super::{
    kind::Kind,
    situation::World,
    table::{Kept, Row, Started, State},
};

const MILLI: Duration = Duration::from_millis(1);

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// A row about a request to a route with a layer that has this key and this option.
macro_rules! request {
    ($covers:expr, $key:expr, $option:expr) => {
        Row {
            covers: $covers,
            state: State::NotHeld,
            kinds: &[Kind::One],
            start: |world: World| {
                async move {
                    let layer = RedlockLayer::new(world.redsync, $key).with_wait(LONG);
                    let route = post(work).route_layer($option(layer));
                    let service = Router::new().route("/{id}", route);
                    Started::new(send(service), Kept::Nothing)
                }
                .boxed()
            },
        }
    };
}

pub(crate) const TABLE: &[Row] = &[
    request!(
        &["ResponseFuture", "HeldLock::lost"],
        key::path("{id}"),
        |layer| layer
    ),
    request!(&[], key::path("{id}"), |layer: RedlockLayer<_>| layer
        .with_hold_until(HoldUntil::BodyEnd)),
    request!(
        &["BodyFirstFuture"],
        key::path("{id}"),
        |layer: RedlockLayer<_>| layer.with_body_first(100, Body::new)
    ),
    request!(
        &[],
        key::body(100, |_: &Parts, body: &[u8]| String::from_utf8_lossy(
            &body[..1]
        )
        .into_owned()),
        |layer| layer
    ),
    request!(
        &[],
        key::from_extractor(|Path(id): Path<String>| id),
        |layer| layer
    ),
    request!(
        &["Key::key"],
        key::from_fn(async |request: Request<Body>| {
            sleep(MILLI).await;
            (request, Ok(Some("a".into())))
        }),
        |layer| layer
    ),
];

/// Works for a while, and then sends a body that takes a while.
async fn work(held: HeldLock, body: Bytes) -> Body {
    tokio::select! {
        biased;
        () = held.lost() => panic!("the lock was lost"),
        () = sleep(2 * MILLI) => {}
    }
    assert_eq!(body, "aa");
    Body::from_stream(slowly())
}

async fn send(service: Router) {
    let request = Request::post("/a")
        .body(Body::from_stream(slowly()))
        .expect("a request");
    let response = service
        .oneshot(request)
        .await
        .unwrap_or_else(|never| match never {});
    assert_eq!(response.status(), 200);
    let body = response.into_body().collect().await.expect("a body");
    assert_eq!(body.to_bytes(), "aa");
}

/// A body of two parts.
fn slowly() -> impl Stream<Item = Result<&'static str, Infallible>> + Send {
    stream::iter(["a", "a"]).then(async |part| {
        sleep(MILLI).await;
        Ok(part)
    })
}
