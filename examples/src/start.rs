//! The begin of a program.

use std::io::{self, IsTerminal};

use anyhow::Context;
use tokio::net::TcpListener;
use tracing_subscriber::EnvFilter;

use crate::settings::{number, text};

/// Logs to the console what `RUST_LOG` says; by default what matters to an operator, and what the layer
/// does.
pub fn log() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,redsync_tower=debug"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stdout().is_terminal())
        .init();
}

/// Listens on `PORT`, or on 3000, at `HOST`, or at 127.0.0.1. Returns the address with the listener, for what
/// the program prints.
///
/// # Errors
///
/// If the port is not a number, or is in use.
pub async fn listen() -> anyhow::Result<(TcpListener, String)> {
    let port: u16 = number("PORT", 3000)?;
    let host = text("HOST")?.unwrap_or_else(|| "127.0.0.1".to_owned());
    let listener = TcpListener::bind((host, port))
        .await
        .with_context(|| format!("cannot listen on port {port}"))?;
    let address = listener.local_addr()?;
    Ok((listener, format!("http://{address}")))
}
