//! Clients that hang up, over real sockets.

use std::time::Duration;

use axum::{Router, extract::Request, middleware, middleware::Next, routing};
use redsync::Redsync;
use redsync_tests::wait::until_async;
use redsync_tower::{RedlockLayer, key};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::support::{Gauge, Nodes, SOON, secs};

/// So long that nothing can have expired.
const EXPIRY: Duration = Duration::from_secs(3600);

struct Service {
    address: std::net::SocketAddr,
    redsync: Redsync,
    handlers: Gauge,
    /// All that are under way, waiting or working.
    requests: Gauge,
}

impl Service {
    /// With a handler that never returns.
    async fn start(nodes: &Nodes) -> Self {
        let redsync = nodes.expiring(EXPIRY);
        let lock = RedlockLayer::new(redsync.clone(), key::path("order:{id}")).with_wait(EXPIRY);
        let (handlers, requests) = (Gauge::default(), Gauge::default());
        let (working, under_way) = (handlers.clone(), requests.clone());
        let handler = routing::post(move || working.clone().work(EXPIRY));
        let outside = middleware::from_fn(move |request: Request, next: Next| {
            under_way.clone().around(next.run(request))
        });
        let app = Router::new()
            .route("/orders/{id}", handler.route_layer(lock))
            .route("/healthz", routing::get(|| async { "ok" }))
            .layer(outside);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self {
            address,
            redsync,
            handlers,
            requests,
        }
    }

    async fn post(&self) -> TcpStream {
        let mut client = TcpStream::connect(self.address)
            .await
            .expect("a connection");
        let request = b"POST /orders/1 HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n";
        client.write_all(request).await.expect("sent");
        client
    }

    async fn until_nobody_is_there(&self) {
        until_async("the request is over", SOON, async || {
            self.requests.now() == 0
        })
        .await;
        self.redsync.drain().await;
    }
}

#[tokio::test]
async fn hanging_up_while_the_handler_works_frees_the_lock() {
    let nodes = Nodes::new();
    let service = Service::start(&nodes).await;
    let client = service.post().await;
    until_async("the handler works", SOON, async || {
        service.handlers.now() == 1
    })
    .await;
    assert!(!nodes.are_free());

    drop(client);
    service.until_nobody_is_there().await;
    assert_eq!(service.handlers.now(), 0);
    assert_eq!(service.handlers.done(), 0);
    assert_eq!(nodes.keys(), [0, 0, 0]);
}

#[tokio::test]
async fn hanging_up_while_a_request_waits_leaves_nothing() {
    let nodes = Nodes::new();
    let service = Service::start(&nodes).await;
    let guard = nodes
        .expiring(EXPIRY)
        .mutex("order:1")
        .lock()
        .await
        .unwrap();
    let client = service.post().await;
    until_async("it tries again", SOON, async || nodes.tries() > 2).await;

    drop(client);
    service.until_nobody_is_there().await;
    let tries = nodes.tries();
    guard.release().await.unwrap();
    // Real time has to pass in which it would have tried again, at the latest after 250 ms.
    tokio::time::sleep(Duration::from_millis(600)).await;
    assert_eq!(nodes.tries(), tries);
    assert_eq!(service.handlers.most(), 0);
    assert_eq!(nodes.keys(), [0, 0, 0]);
}

#[tokio::test]
async fn the_next_waiter_acquires_the_lock_when_a_client_hangs_up() {
    let nodes = Nodes::new();
    let service = Service::start(&nodes).await;
    let first = service.post().await;
    until_async("the first works", SOON, async || {
        service.handlers.now() == 1
    })
    .await;
    let tries = nodes.tries();
    let second = service.post().await;
    until_async("the second tries", SOON, async || nodes.tries() > tries).await;

    drop(first);
    until_async("the first is over", SOON, async || {
        service.requests.now() == 1
    })
    .await;
    until_async("the second works", SOON, async || {
        service.handlers.now() == 1
    })
    .await;
    assert_eq!(service.handlers.most(), 1);
    drop(second);
    service.until_nobody_is_there().await;
    assert_eq!(nodes.keys(), [0, 0, 0]);
}

#[tokio::test]
async fn an_aborted_request_of_one_connection_disturbs_no_other() {
    let nodes = Nodes::new();
    let service = Service::start(&nodes).await;
    let client = service.post().await;
    until_async("the handler works", SOON, async || {
        service.handlers.now() == 1
    })
    .await;
    let mut other = TcpStream::connect(service.address)
        .await
        .expect("a connection");
    let request = b"GET /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    drop(client);
    other.write_all(request).await.expect("sent");
    let mut answer = String::new();
    let read = other.read_to_string(&mut answer);
    tokio::time::timeout(secs(20), read)
        .await
        .expect("in time")
        .expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    service.until_nobody_is_there().await;
    assert_eq!(nodes.keys(), [0, 0, 0]);
}
