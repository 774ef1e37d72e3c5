//! A room with its presenter.

use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, close_code};
use redsync_tower::redsync::Guard;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

/// Echoes what the presenter says, until it leaves, the lock is lost, or the service shuts down.
pub(crate) async fn echo(
    mut socket: WebSocket,
    guard: Guard,
    ping: Duration,
    shutdown: CancellationToken,
) {
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
            () = guard.lost() => close(close_code::ERROR, "the lock is lost"),
            () = shutdown.cancelled() => close(close_code::AWAY, "the service shuts down"),
        };
        // A client that does not read must not keep its room, nor be spared the loss of the lock.
        let is_last = matches!(message, Message::Close(_));
        let sent = timeout(ping, socket.send(message)).await;
        if is_last || !matches!(sent, Ok(Ok(()))) {
            break;
        }
    }
    // A released room is free when the client sees the end of its connection.
    if let Err(error) = guard.release().await {
        tracing::warn!("a room was not released: {error}");
    }
}

fn close(code: u16, reason: &'static str) -> Message {
    Message::Close(Some(CloseFrame {
        code,
        reason: reason.into(),
    }))
}
