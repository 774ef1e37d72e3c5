//! Connections that are upgraded: the lock ends with the handler, or goes with the connection.

use std::net::SocketAddr;

use axum::{
    Router,
    extract::{Path, Request},
    routing,
};
use http::{StatusCode, header};
use hyper_util::rt::TokioIo;
use redsync_tower::{HeldLock, HoldUntil};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::support::{SOON, World, head, raw, serve};

/// Echoes the bytes of the client until it closes the connection.
async fn echo(
    Path(id): Path<String>,
    lock: HeldLock,
    mut request: Request,
) -> impl axum::response::IntoResponse {
    let guard = (id == "carried").then(|| lock.detach().expect("a guard"));
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let connection = TokioIo::new(upgrade.await.expect("an upgrade"));
        let (mut from, mut to) = tokio::io::split(connection);
        tokio::io::copy(&mut from, &mut to).await.ok();
        if let Some(guard) = guard {
            guard.release().await.expect("released");
        }
    });
    let headers = [(header::CONNECTION, "upgrade"), (header::UPGRADE, "echo")];
    (StatusCode::SWITCHING_PROTOCOLS, headers)
}

async fn start(world: &World, hold: HoldUntil) -> SocketAddr {
    let lock = world.layer().with_hold_until(hold);
    serve(Router::new().route("/{id}", routing::get(echo).route_layer(lock))).await
}

async fn upgrade(address: SocketAddr, path: &str) -> TcpStream {
    let request = "HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\n";
    let mut client = raw(address, format!("GET {path} {request}")).await;
    let head = head(&mut client).await;
    assert!(head.starts_with("HTTP/1.1 101"), "{head}");
    client
}

async fn is_echoed(client: &mut TcpStream) {
    client.write_all(b"hello").await.unwrap();
    let mut echoed = [0; 5];
    let read = timeout(SOON, client.read_exact(&mut echoed)).await;
    read.expect("in time").expect("an echo");
    assert_eq!(&echoed, b"hello");
}

#[tokio::test]
async fn the_lock_ends_with_the_handler() {
    for hold in [HoldUntil::Response, HoldUntil::BodyEnd] {
        let world = World::new();
        let address = start(&world, hold).await;
        let mut client = upgrade(address, "/left").await;
        assert!(world.is_free("left").await, "{hold:?}: before the answer");
        is_echoed(&mut client).await;
        world.ends_empty().await;
    }
}

#[tokio::test]
async fn a_lock_that_was_detached_goes_with_the_connection() {
    for hold in [HoldUntil::Response, HoldUntil::BodyEnd] {
        let world = World::new();
        let address = start(&world, hold).await;
        let mut client = upgrade(address, "/carried").await;
        is_echoed(&mut client).await;
        assert!(!world.is_free("carried").await, "{hold:?}");
        drop(client);
        world.until_free("carried").await;
        world.ends_empty().await;
    }
}
