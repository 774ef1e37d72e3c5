//! With hyper alone, under both versions of HTTP.

use std::{convert::Infallible, net::SocketAddr};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::conn::auto,
    service::TowerToHyperService,
};
use redsync_tower::{HeldLock, RedlockLayer};
use tokio::net::TcpListener;
use tower::{Layer, service_fn};

use crate::support::{Http2, Stage, World, post};

async fn serve(world: &World, stage: &Stage) -> SocketAddr {
    let by_path = |request: &Request<Incoming>| request.uri().path().to_owned();
    let lock = RedlockLayer::new(world.redsync.clone(), by_path);
    let stage = stage.clone();
    let service = lock.layer(service_fn(move |request: Request<Incoming>| {
        let stage = stage.clone();
        async move {
            let lock = request.extensions().get::<HeldLock>().expect("a lock");
            stage.play().await;
            let name = Bytes::from(lock.name().to_owned());
            Ok::<_, Infallible>(Response::new(Full::new(name)))
        }
    }));
    let service = TowerToHyperService::new(service);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            let service = service.clone();
            tokio::spawn(async move {
                auto::Builder::new(TokioExecutor::new())
                    .serve_connection(TokioIo::new(socket), service)
                    .await
                    .ok()
            });
        }
    });
    address
}

#[tokio::test]
async fn requests_run_one_at_a_time_whatever_the_version() {
    let (world, stage) = (World::new(), Stage::new());
    let address = serve(&world, &stage).await;
    let first = tokio::spawn(post(address, "/1"));
    stage.has(1).await;
    assert_eq!(post(address, "/1").await.0, 409);
    let client = Http2::connect(address).await;
    assert_eq!(client.head("POST", "/1").await.status(), 409);
    stage.let_go(2);
    assert_eq!(first.await.unwrap(), (200, "/1".into()));
    assert_eq!(client.head("POST", "/1").await.status(), 200);
    world.ends_empty().await;
}

#[tokio::test]
async fn a_client_that_goes_away_frees_the_lock() {
    let (world, stage) = (World::new(), Stage::new());
    let address = serve(&world, &stage).await;
    let first = tokio::spawn(post(address, "/1"));
    let client = Http2::connect(address).await;
    let (_second, mut stream) = client.send("POST", "/2").await;
    stage.has(2).await;
    first.abort();
    world.until_free("/1").await;
    assert_eq!(stage.now(), 1);
    stream.send_reset(h2::Reason::CANCEL);
    world.until_free("/2").await;
    assert_eq!(stage.now(), 0);
    world.ends_empty().await;
}
