//! The example `websocket`, end to end: clients that open WebSockets, leave and vanish.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use redsync_tests::{Servers, Service, program::SOON, wait::until_async};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{self, Message},
};

type Socket = WebSocketStream<TcpStream>;

async fn start(servers: &Servers, env: &[(&str, &str)]) -> Service {
    let urls = servers.urls().join(",");
    let env: Vec<_> = [("REDIS_URLS", &*urls)]
        .into_iter()
        .chain(env.iter().copied())
        .collect();
    Service::start("websocket", &env).await
}

/// Opens a WebSocket, or returns the status of the refusal.
async fn open(service: &Service, room: &str) -> Result<Socket, u16> {
    let stream = TcpStream::connect(("127.0.0.1", service.port())).await;
    let url = format!("ws://127.0.0.1:{}/rooms/{room}", service.port());
    match client_async(url, stream.expect("a connection")).await {
        Ok((socket, _)) => Ok(socket),
        Err(tungstenite::Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

async fn next(socket: &mut Socket) -> Option<Message> {
    loop {
        let message = timeout(SOON, socket.next()).await.expect("in time");
        match message {
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            message => return message?.ok(),
        }
    }
}

async fn is_echoed(socket: &mut Socket) {
    socket.send("hello".into()).await.expect("sent");
    assert_eq!(next(socket).await, Some("hello".into()));
}

/// Opens a WebSocket as soon as the room is free.
async fn open_when_free(service: &Service, room: &str) -> Socket {
    let mut socket = None;
    until_async("the room is free", SOON, async || {
        socket = open(service, room).await.ok();
        socket.is_some()
    })
    .await;
    socket.expect("just opened")
}

const PATIENT: &[(&str, &str)] = &[("PING_MS", "600000"), ("EXPIRY_MS", "600000")];

#[tokio::test]
async fn a_room_has_one_socket_over_all_copies() {
    let servers = Servers::start(3);
    let copies = [
        start(&servers, PATIENT).await,
        start(&servers, PATIENT).await,
    ];
    let mut first = open(&copies[0], "1").await.expect("the first");
    is_echoed(&mut first).await;
    for copy in &copies {
        assert_eq!(open(copy, "1").await.err(), Some(409));
        open(copy, "2")
            .await
            .expect("another room")
            .close(None)
            .await
            .expect("closed");
        until_async("that is free", SOON, async || {
            servers.holders("room:2") == [None, None, None]
        })
        .await;
    }
    is_echoed(&mut first).await;

    first.close(None).await.expect("closed");
    let mut second = open_when_free(&copies[1], "1").await;
    is_echoed(&mut second).await;
}

#[tokio::test]
async fn the_room_of_a_client_that_breaks_off_is_free() {
    let servers = Servers::start(3);
    let service = start(&servers, PATIENT).await;
    let socket = open(&service, "1").await.expect("the first");
    drop(socket);
    is_echoed(&mut open_when_free(&service, "1").await).await;
}

#[tokio::test]
async fn the_room_of_a_client_that_falls_silent_is_free() {
    let servers = Servers::start(3);
    let env = [("PING_MS", "100"), ("EXPIRY_MS", "600000")];
    let service = start(&servers, &env).await;
    // It answers no pings, because it reads nothing.
    let silent = open(&service, "1").await.expect("the first");
    let next = open_when_free(&service, "1").await;
    drop((silent, next));
}

#[tokio::test]
async fn a_socket_outlives_the_expiry() {
    let servers = Servers::start(3);
    let service = start(&servers, &[("PING_MS", "600000"), ("EXPIRY_MS", "500")]).await;
    let mut socket = open(&service, "1").await.expect("the first");
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert_eq!(open(&service, "1").await.err(), Some(409));
    is_echoed(&mut socket).await;
}

#[tokio::test]
async fn a_socket_is_closed_when_its_lock_is_lost() {
    let servers = Servers::start(3);
    let service = start(&servers, &[("PING_MS", "600000"), ("EXPIRY_MS", "500")]).await;
    let mut socket = open(&service, "1").await.expect("the first");
    is_echoed(&mut socket).await;
    for server in servers.iter().take(2) {
        server.stop();
    }
    let Some(Message::Close(Some(frame))) = next(&mut socket).await else {
        panic!("no close frame");
    };
    assert_eq!(frame.reason.as_str(), "the lock is lost");
}

#[tokio::test]
async fn at_a_shutdown_sockets_are_closed_and_their_rooms_are_free() {
    let servers = Servers::start(3);
    let mut service = start(&servers, PATIENT).await;
    let mut socket = open(&service, "1").await.expect("the first");
    is_echoed(&mut socket).await;
    service.terminate();
    let Some(Message::Close(Some(frame))) = next(&mut socket).await else {
        panic!("no close frame: {:?}, {}", service.exit(), service.log());
    };
    assert_eq!(u16::from(frame.code), 1001);
    assert_eq!(service.exit().code(), Some(0), "{}", service.log());
    servers.assert_no_keys();
}

#[tokio::test]
async fn a_request_that_is_no_websocket_is_refused() {
    let service = Service::start("websocket", &[]).await;
    let mut stream = TcpStream::connect(("127.0.0.1", service.port()))
        .await
        .expect("a connection");
    let request = b"GET /rooms/1 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
    stream.write_all(request).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
}
