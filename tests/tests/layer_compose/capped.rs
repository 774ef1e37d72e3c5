//! A stream without an end, whose lock may not be held for ever.

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use axum::{Router, body::Body, routing};
use bytes::Bytes;
use futures_util::stream;
use http::Request;
use http_body_util::BodyExt;
use redsync::Redsync;
use redsync_tower::{HoldUntil, RedlockLayer, key};
use tokio::time::{Instant, sleep, timeout};
use tower::ServiceExt;

const EVERY: Duration = Duration::from_secs(1);

/// One event a second.
fn events() -> Body {
    let events = stream::repeat(()).then_event();
    Body::from_stream(events)
}

trait ThenEvent: stream::Stream<Item = ()> + Sized + Send + 'static {
    fn then_event(self) -> impl stream::Stream<Item = Result<Bytes, Infallible>> + Send {
        futures_util::StreamExt::then(self, |()| async {
            sleep(EVERY).await;
            Ok(Bytes::from_static(b"data: tick\n\n"))
        })
    }
}

impl<S: stream::Stream<Item = ()> + Send + 'static> ThenEvent for S {}

#[tokio::test(start_paused = true)]
async fn the_lock_ends_at_the_cap_and_the_stream_goes_on() {
    let redsync = Redsync::in_memory(3)
        .with_defaults(|mutex| {
            let expiry = Duration::from_secs(8);
            mutex
                .with_expiry(expiry)
                .with_max_hold(Duration::from_secs(60))
        })
        .unwrap();
    let lock =
        RedlockLayer::new(redsync.clone(), key::path("{id}")).with_hold_until(HoldUntil::BodyEnd);
    let app: Router =
        Router::new().route("/{id}", routing::post(async || events()).route_layer(lock));
    let request = Request::post("/1").body(Body::empty()).unwrap();
    let start = Instant::now();
    let mut body = app.oneshot(request).await.unwrap().into_body();

    let read = AtomicUsize::new(0);
    let reading = async {
        loop {
            let frame = body.frame().await.expect("no end").unwrap();
            assert_eq!(frame.into_data().unwrap(), "data: tick\n\n");
            read.fetch_add(1, Ordering::SeqCst);
        }
    };
    let waiting = async {
        let mutex = redsync.mutex("1");
        while mutex.try_lock().await.is_err() {
            sleep(Duration::from_millis(100)).await;
        }
        start.elapsed()
    };
    let held = tokio::select! {
        () = reading => unreachable!("it has no end"),
        held = timeout(Duration::from_secs(600), waiting) => held.expect("it ends"),
    };
    let (least, most) = (Duration::from_secs(50), Duration::from_secs(70));
    assert!(least < held && held < most, "{held:?}");
    let before = read.load(Ordering::SeqCst);
    assert!(before >= 49, "{before}");
    let next = timeout(2 * EVERY, body.frame()).await;
    next.expect("it goes on").expect("no end").unwrap();
    drop(body);
    redsync.drain().await;
}
