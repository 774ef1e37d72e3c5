//! Rooms of which each has one presenter, whichever copy of the service they connect to. A presenter is
//! a WebSocket, and the room is locked for as long as it is open.
//!
//! ```sh
//! cargo run --example websocket
//! ```
//!
//! A request for a WebSocket locks by default, although it is a GET. The layer releases its lock when the
//! handler has returned its response, which is 101 (Switching Protocols). To keep it, the handler
//! detaches the lock before `on_upgrade`, and moves the guard into the future of the socket. The guard is
//! extended in the background, and releases the room when the future ends, even by a panic.
//!
//! * If the room has a presenter, the layer answers with 409 before the upgrade.
//! * If the lock is lost, because too few nodes answer, the socket is closed: another presenter may come.
//! * A client that vanishes without closing the connection does not answer pings, and its room is free
//!   after two of them.
//!
//! These environment variables are optional:
//!
//! * `PORT` (3000): the port to listen on, at 127.0.0.1.
//! * `REDIS_URLS`: the nodes, separated by commas. Three nodes in memory without it.
//! * `EXPIRY_MS` (8000): how long the locks of a copy stay after it has crashed.
//! * `PING_MS` (10000): the time between two pings.

use std::{env, time::Duration};

use anyhow::Context;
use axum::{
    Router,
    extract::{
        State, WebSocketUpgrade,
        ws::{CloseFrame, Message, WebSocket, close_code},
    },
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::any,
};
use redsync_tower::{
    HeldLock, RedlockLayer, key,
    redsync::{Guard, Redsync},
};
use tokio::{
    net::TcpListener,
    time::{MissedTickBehavior, interval},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    tracing_subscriber::fmt().init();
    let (port, ping) = (number("PORT", 3000)?, number("PING_MS", 10_000)?);
    let expiry = Duration::from_millis(number("EXPIRY_MS", 8000)?);
    let redsync = match env::var("REDIS_URLS") {
        Err(env::VarError::NotPresent) => Redsync::in_memory(3),
        urls => Redsync::connect(urls.context("REDIS_URLS")?.split(',')).context("REDIS_URLS")?,
    };
    let lock = RedlockLayer::new(redsync, key::path("room:{room}")).with_expiry(expiry);

    // WebSockets of HTTP/2 are CONNECT requests, so a route has `any`, which needs `layer`.
    let app = Router::new()
        .route("/rooms/{room}", any(present).layer(lock))
        .with_state(Duration::from_millis(ping));
    let listener = TcpListener::bind(("127.0.0.1", u16::try_from(port)?))
        .await
        .with_context(|| format!("cannot listen on port {port}"))?;
    println!("Rooms are on http://127.0.0.1:{port}/rooms/1");
    axum::serve(listener, app).await?;
    Ok(())
}

/// Upgrades a request, which has locked its room.
async fn present(upgrade: WebSocketUpgrade, ping: State<Duration>, lock: HeldLock) -> Response {
    // Inside of `on_upgrade` it would be too late: the layer has released the lock by then.
    match lock.detach() {
        Some(guard) => upgrade.on_upgrade(move |socket| echo(socket, guard, ping.0)),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Echoes what the presenter says, until it leaves or the lock is lost.
async fn echo(mut socket: WebSocket, guard: Guard, ping: Duration) {
    let mut pings = interval(ping);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut unanswered = 0;
    loop {
        let message = tokio::select! {
            message = socket.recv() => {
                unanswered = 0;
                match message {
                    Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => message,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => continue,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => break,
                }
            }
            _ = pings.tick() => {
                unanswered += 1;
                if unanswered > 2 {
                    break;
                }
                Message::Ping("".into())
            }
            () = guard.lost() => Message::Close(Some(CloseFrame {
                code: close_code::ERROR,
                reason: "the lock is lost".into(),
            })),
        };
        // A client that does not read must not keep its room, nor be spared the loss of the lock.
        let is_last = matches!(message, Message::Close(_));
        let sent = tokio::time::timeout(ping, socket.send(message)).await;
        if is_last || !matches!(sent, Ok(Ok(()))) {
            break;
        }
    }
    // A released room is free when the client sees the end of its connection.
    if let Err(error) = guard.release().await {
        tracing::warn!("a room was not released: {error}");
    }
}

fn number(name: &str, default: u64) -> anyhow::Result<u64> {
    match env::var(name) {
        Ok(value) => value.parse().with_context(|| format!("{name}: {value}")),
        Err(_) => Ok(default),
    }
}
