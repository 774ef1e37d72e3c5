//! A graceful shutdown, and then a drain, on real servers.

use std::{future::IntoFuture, net::SocketAddr, time::Duration};

use axum::{Router, body::Body, routing};
use bytes::Bytes;
use futures_util::stream;
use redsync::Redsync;
use redsync_tests::Servers;
use redsync_tower::{HeldLock, HoldUntil, RedlockLayer, key};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::timeout};

use crate::support::{Http2, LONG, SOON, Stage, post, raw};

struct Service {
    servers: Servers,
    stage: Stage,
    redsync: Redsync,
    address: SocketAddr,
    shut_down: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Service {
    async fn start() -> Self {
        let servers = Servers::start(3);
        let redsync = Redsync::connect(servers.urls()).expect("URLs");
        let redsync = redsync
            .with_defaults(|mutex| mutex.with_expiry(LONG).with_node_timeout(SOON))
            .expect("options that work");
        let stage = Stage::new();
        let layer = || RedlockLayer::new(redsync.clone(), key::path("{id}")).with_wait(LONG);
        let [working, streaming, detached] = [(); 3].map(|()| stage.clone());
        let work = routing::post(async move || {
            working.play().await;
            "done"
        });
        let stream = routing::post(async move || {
            let frame = stream::once(async move {
                streaming.play().await;
                Ok::<_, std::convert::Infallible>(Bytes::from_static(b"done"))
            });
            Body::from_stream(frame)
        });
        let detach = routing::post(async move |lock: HeldLock| {
            let guard = lock.detach().expect("a lock");
            tokio::spawn(async move {
                detached.play().await;
                drop(guard);
            });
            "accepted"
        });
        let app = Router::new()
            .route("/jobs/{id}", work.route_layer(layer()))
            .route("/detached/{id}", detach.route_layer(layer()))
            .route(
                "/stream/{id}",
                stream.route_layer(layer().with_hold_until(HoldUntil::BodyEnd)),
            );
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let (shut_down, signal) = oneshot::channel::<()>();
        let serve = axum::serve(listener, app).with_graceful_shutdown(async {
            signal.await.ok();
        });
        let served = serve.into_future();
        let served = tokio::spawn(async move { served.await.expect("served") });
        Self {
            servers,
            stage,
            redsync,
            address,
            shut_down,
            served,
        }
    }

    fn holds_locks(&self) -> bool {
        let with_keys = self.servers.iter().filter(|one| !one.keys().is_empty());
        with_keys.count() >= 2
    }

    /// Lets the handlers end after the signal, and then shuts down as the docs describe.
    async fn shut_down(self, handlers: usize) {
        assert!(self.holds_locks());
        self.shut_down.send(()).expect("it is served");
        // Nobody is let in, and so it has begun.
        redsync_tests::wait::until_async("it closes its door", SOON, async || {
            tokio::net::TcpStream::connect(self.address).await.is_err()
        })
        .await;
        assert!(!self.served.is_finished());
        self.stage.let_go(handlers);
        timeout(SOON, self.served).await.expect("in time").unwrap();
        timeout(SOON, self.redsync.drain()).await.expect("in time");
        self.servers.assert_no_keys();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_waits_for_requests_of_http_1() {
    let service = Service::start().await;
    let mut requests = Vec::new();
    for path in ["/jobs/1", "/jobs/2", "/stream/3", "/stream/4"] {
        requests.push(tokio::spawn(post(service.address, path)));
    }
    service.stage.has(4).await;
    let stage = service.stage.clone();
    service.shut_down(4).await;
    assert_eq!(stage.now(), 0);
    for request in requests {
        assert_eq!(request.await.unwrap(), (200, "done".into()));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shutdown_waits_for_requests_of_http_2() {
    let service = Service::start().await;
    let client = Http2::connect(service.address).await;
    let mut requests = Vec::new();
    for path in ["/jobs/1", "/jobs/2", "/stream/3", "/stream/4"] {
        let (response, stream) = client.send("POST", path).await;
        requests.push(tokio::spawn(async move {
            let _stream = stream;
            let response = response.await.expect("an answer");
            let mut body = response.into_body();
            body.data().await.expect("a frame").expect("a frame")
        }));
    }
    service.stage.has(4).await;
    let stage = service.stage.clone();
    service.shut_down(4).await;
    assert_eq!(stage.now(), 0);
    for request in requests {
        assert_eq!(request.await.unwrap(), "done");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_waits_for_a_job_that_has_detached_its_lock() {
    let service = Service::start().await;
    let answer = post(service.address, "/detached/1").await;
    assert_eq!(answer, (200, "accepted".into()));
    service.stage.has(1).await;
    service.shut_down.send(()).expect("it is served");
    let served = timeout(SOON, service.served).await;
    served.expect("in time").unwrap();

    let mut drain = std::pin::pin!(service.redsync.drain());
    let early = timeout(Duration::from_millis(200), &mut drain).await;
    assert!(early.is_err(), "the job still has its lock");
    service.stage.let_go(1);
    timeout(SOON, drain).await.expect("in time");
    service.servers.assert_no_keys();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiting_request_is_still_served() {
    let service = Service::start().await;
    let requests = [(); 3].map(|()| tokio::spawn(post(service.address, "/jobs/1")));
    service.stage.has(1).await;
    let stage = service.stage.clone();
    service.shut_down(3).await;
    assert_eq!((stage.begun(), stage.most()), (3, 1));
    for request in requests {
        assert_eq!(request.await.unwrap().0, 200);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_that_hang_up_during_a_shutdown_leave_no_lock() {
    for version in [1, 2] {
        let service = Service::start().await;
        let paths = ["/jobs/1", "/stream/2", "/jobs/1", "/stream/2"];
        let mut connections = Vec::new();
        let http2 = Http2::connect(service.address).await;
        let mut streams = Vec::new();
        for path in paths {
            if version == 1 {
                let request =
                    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n");
                connections.push(raw(service.address, request).await);
            } else {
                streams.push(http2.send("POST", path).await);
            }
        }
        service.stage.has(2).await;
        let stage = service.stage.clone();
        assert!(service.holds_locks());
        service.shut_down.send(()).expect("it is served");
        drop((connections, streams, http2));
        timeout(SOON, service.served)
            .await
            .expect("in time")
            .unwrap();
        timeout(SOON, service.redsync.drain())
            .await
            .expect("in time");
        service.servers.assert_no_keys();
        assert_eq!(stage.now(), 0, "{version}");
    }
}
