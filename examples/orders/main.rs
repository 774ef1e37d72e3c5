//! A service for orders. However many copies of it run, requests for the same order run one at a
//! time.
//!
//! ```sh
//! cargo run --example orders
//! ```
//!
//! It prints commands to try. These environment variables are optional:
//!
//! * `PORT` (3000): the port to listen on, at 127.0.0.1.
//! * `REDIS_URLS`: the nodes, separated by commas. Three nodes in memory without it.
//! * `DATABASE`: the path of a SQLite file that processes can share. A temporary file without it.
//! * `WAIT_MS` (2000): how long a request waits for its order; 0 refuses at once.
//! * `EXPIRY_MS` (8000): how long the locks of a copy stay after it has crashed.
//! * `RUST_LOG`: what is logged.

mod config;
mod handlers;
mod store;

use anyhow::Context;
use axum::{
    Router,
    routing::{get, post},
};
use redsync_tower::{
    RedlockLayer, key,
    redsync::{Redsync, Vote},
};
use tokio::{net::TcpListener, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use self::{config::Config, store::Store};

/// The route whose requests lock an order.
const ITEMS: &str = "/orders/{id}/items";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,redsync_tower=debug"));
    tracing_subscriber::fmt().with_env_filter(filter).init();

    let config = Config::from_env()?;
    let store = Store::open(config.database.as_deref())?;
    let redsync = config.redsync()?;
    let listener = TcpListener::bind(("127.0.0.1", config.port))
        .await
        .with_context(|| format!("cannot listen on port {}", config.port))?;

    report(&redsync).await;
    print!("{}", config.instructions());

    // Cancelled at the begin of the shutdown: no request waits for its order any longer.
    let shutdown = CancellationToken::new();
    let key = key::path("order:{id}").for_route(ITEMS);
    let lock = RedlockLayer::new(redsync.clone(), key)
        .with_wait(config.wait)
        .with_shutdown(shutdown.clone());
    let app = Router::new()
        .route(ITEMS, post(handlers::add_items).route_layer(lock))
        .route("/unlocked/orders/{id}/items", post(handlers::add_items))
        .route("/orders/{id}", get(handlers::show))
        .route("/healthz", get(handlers::health))
        .with_state(handlers::App {
            store,
            redsync: redsync.clone(),
        });
    axum::serve(listener, app)
        .with_graceful_shutdown(async move {
            shutdown_signal().await;
            shutdown.cancel();
        })
        .await?;

    // The requests have finished. This waits for the releases of those that were cut off.
    redsync.drain().await;
    tracing::info!("shut down");
    Ok(())
}

/// Logs which nodes answer. The service starts even if nodes are down, because they may come back.
async fn report(redsync: &Redsync) {
    let votes = redsync.probe().await;
    let (answering, quorum) = (votes.granted(), votes.quorum());
    for node in votes.iter() {
        if let Vote::Failed(error) = node.vote() {
            tracing::warn!("the node {} {error}", node.address());
        }
    }
    if answering < quorum {
        tracing::error!(
            "{answering} nodes answer and {quorum} are needed; until then, requests that need a lock \
             are answered with 503"
        );
    } else {
        tracing::info!("{answering} nodes answer");
    }
}

/// Resolves at Ctrl-C or SIGTERM.
async fn shutdown_signal() {
    let interrupt = async { signal::ctrl_c().await.expect("a handler for Ctrl-C") };
    #[cfg(unix)]
    let terminate = async {
        signal::unix::signal(signal::unix::SignalKind::terminate())
            .expect("a handler for SIGTERM")
            .recv()
            .await;
    };
    #[cfg(not(unix))]
    let terminate = std::future::pending::<()>();
    tokio::select! {
        () = interrupt => {}
        () = terminate => {}
    }
    tracing::info!("shutting down; finishing the requests that have their order");
}
