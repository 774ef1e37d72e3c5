//! Rooms of which each has one presenter, whichever copy of the service they connect to. A presenter is
//! a WebSocket, and the room is locked for as long as it is open.
//!
//! ```sh
//! cargo run --example websocket
//! ```
//!
//! Enter a room with any client for WebSockets, such as
//! [websocat](https://github.com/vi/websocat). What you type comes back. A second presenter of room 1 is refused
//! with 409, until the first has left; room 2 is free:
//!
//! ```sh
//! websocat ws://127.0.0.1:3000/rooms/1
//! ```
//!
//! A request for a WebSocket locks by default, although it is a GET. The layer releases its lock when the
//! handler has returned its response, which is 101 (Switching Protocols). To keep it, the handler
//! detaches the lock before `on_upgrade`, and moves the guard into the future of the socket. The guard is
//! extended in the background, and releases the room when the future ends, even by a panic.
//!
//! * If the room has a presenter, the layer answers with 409 before the upgrade.
//! * If the lock is lost, because too few nodes answer, the socket is closed: another presenter may come.
//! * At Ctrl-C or SIGTERM, the sockets are closed with 1001 (Going Away), and their rooms are free when the
//!   process ends.
//! * A client that vanishes without closing the connection does not answer pings, and its room is free
//!   after two of them.
//!
//! These environment variables are optional:
//!
//! * `PORT` (3000): the port to listen on, at 127.0.0.1.
//! * `REDIS_URLS`: the nodes, separated by commas. Three nodes in memory without it.
//! * `EXPIRY_MS` (8000): how long the locks of a copy stay after it has crashed.
//! * `PING_MS` (10000): the time between two pings.
//! * `RUST_LOG`: what is logged.

mod room;

use std::time::Duration;

use axum::{
    Router,
    extract::{State, WebSocketUpgrade},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::any,
};
use redsync_examples::{duration, listen, log, redsync, shutdown_signal};
use redsync_tower::{HeldLock, RedlockLayer, key};
use tokio_util::sync::CancellationToken;

#[derive(Clone)]
struct App {
    /// The time between two pings.
    ping: Duration,
    /// Cancelled when the sockets have to close.
    shutdown: CancellationToken,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    log();
    let redsync = redsync()?;
    let app = App {
        ping: duration("PING_MS", 10_000)?,
        shutdown: CancellationToken::new(),
    };
    let shutdown = app.shutdown.clone();
    let lock = RedlockLayer::new(redsync.clone(), key::path("room:{room}"));

    // WebSockets of HTTP/2 are CONNECT requests, so a route has `any`, which needs `layer`.
    let app = Router::new()
        .route("/rooms/{room}", any(present).layer(lock))
        .with_state(app);
    let stop = shutdown_signal();
    let (listener, url) = listen().await?;
    println!("Rooms are on {url}/rooms/1");
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            stop.await;
            shutdown.cancel();
        })
        .await?;

    // The server does not wait for sockets, but this waits for their locks.
    redsync.drain().await;
    tracing::info!("shut down");
    Ok(())
}

/// Upgrades a request, which has locked its room.
async fn present(upgrade: WebSocketUpgrade, app: State<App>, lock: HeldLock) -> Response {
    let State(App { ping, shutdown }) = app;
    // Inside of `on_upgrade` it would be too late: the layer has released the lock by then.
    match lock.detach() {
        Some(guard) => upgrade.on_upgrade(move |socket| room::echo(socket, guard, ping, shutdown)),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
