//! Clients that stop reading a body that holds a lock, and then go away.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use axum::{Router, routing};
use redsync_tests::wait::until_async;
use redsync_tower::HoldUntil;

use crate::support::{Http2, SOON, Stage, World, endless, head, raw, serve};

static FRAME: [u8; 16 * 1024] = [b'x'; 16 * 1024];

struct Streaming {
    world: World,
    stage: Stage,
    sent: Arc<AtomicUsize>,
    address: SocketAddr,
}

impl Streaming {
    async fn start() -> Self {
        let (world, stage) = (World::new(), Stage::new());
        let sent = Arc::new(AtomicUsize::new(0));
        let lock = world.layer().with_hold_until(HoldUntil::BodyEnd);
        let (playing, frames) = (stage.clone(), Arc::clone(&sent));
        let handler = routing::post(async move || endless(&playing, &FRAME, &frames));
        let app = Router::new().route("/{id}", handler.route_layer(lock));
        let address = serve(app).await;
        Self {
            world,
            stage,
            sent,
            address,
        }
    }

    /// Waits until no more frames are taken from the body, because the client does not read them.
    async fn until_stuck(&self) {
        let mut last = (0, Instant::now());
        until_async("the body is stuck", SOON, async || {
            let sent = self.sent.load(Ordering::SeqCst);
            if sent != last.0 {
                last = (sent, Instant::now());
            }
            sent > 0 && last.1.elapsed() > Duration::from_millis(300)
        })
        .await;
        assert_eq!(self.stage.now(), 1);
        assert!(!self.world.is_free("1").await);
    }

    async fn until_over(&self) {
        self.world.until_free("1").await;
        assert_eq!(self.stage.now(), 0, "the body is gone before its lock");
        self.world.ends_empty().await;
    }
}

#[tokio::test]
async fn the_reset_of_an_unread_stream_frees_the_lock() {
    let streaming = Streaming::start().await;
    let client = Http2::connect(streaming.address).await;
    let (response, mut stream) = client.send("POST", "/1").await;
    let response = response.await.unwrap();
    assert_eq!(response.status(), 200);
    streaming.until_stuck().await;
    stream.send_reset(h2::Reason::CANCEL);
    streaming.until_over().await;
}

#[tokio::test]
async fn the_end_of_a_connection_with_an_unread_stream_frees_the_lock() {
    let streaming = Streaming::start().await;
    let client = Http2::connect(streaming.address).await;
    let response = client.head("POST", "/1").await;
    assert_eq!(response.status(), 200);
    streaming.until_stuck().await;
    drop(client);
    streaming.until_over().await;
}

#[tokio::test]
async fn the_end_of_an_unread_connection_of_http_1_frees_the_lock() {
    let streaming = Streaming::start().await;
    let request = "POST /1 HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
    let mut client = raw(streaming.address, request).await;
    let head = head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    streaming.until_stuck().await;
    drop(client);
    streaming.until_over().await;
}
