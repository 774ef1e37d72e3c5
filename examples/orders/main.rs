//! Orders that are never worked on twice at a time, however many copies of this service run.
//!
//! ```sh
//! cargo run --example orders
//! ```
//!
//! and do what it says. It reads, all optional:
//!
//! * `PORT` (3000) to listen on, at 127.0.0.1.
//! * `REDIS_URLS`: the nodes, separated by commas. Three nodes in memory without it.
//! * `DATABASE`: the path of a SQLite file, to share one between processes. A temporary one
//!   without it.
//! * `WAIT_MS` (2000): how long a request waits for its order; 0 refuses at once.
//! * `EXPIRY_MS` (8000): after which time others get the lock of a copy that has crashed.
//! * `RUST_LOG`: what is logged.

mod config;
mod handlers;
mod store;

use anyhow::Context;
use axum::{
    Router,
    routing::{get, post},
};
use redsync::Redsync;
use redsync_tower::{RedlockLayer, key};
use tokio::{net::TcpListener, signal};
use tracing_subscriber::EnvFilter;

use self::{config::Config, store::Store};

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
    print!("{}", config.what_to_try());

    let lock = RedlockLayer::new(redsync.clone(), key::path("order:{id}")).with_wait(config.wait);
    let app = Router::new()
        .route(
            "/orders/{id}/items",
            post(handlers::add_items).route_layer(lock),
        )
        .route("/unlocked/orders/{id}/items", post(handlers::add_items))
        .route("/orders/{id}", get(handlers::show))
        .route("/healthz", get(handlers::health))
        .with_state(handlers::App {
            store,
            redsync: redsync.clone(),
        });
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown())
        .await?;

    // Requests are finished; so are, after this, the releases of those that were cut off.
    redsync.drain().await;
    tracing::info!("shut down");
    Ok(())
}

/// Says which nodes answer. One that is down is no reason not to start: it may come back.
async fn report(redsync: &Redsync) {
    let votes = redsync.probe().await;
    let (answering, quorum) = (votes.granted(), votes.quorum());
    for node in votes.iter() {
        if let redsync::Vote::Failed(error) = node.vote() {
            tracing::warn!("the node {} {error}", node.address());
        }
    }
    if answering < quorum {
        tracing::error!(
            "{answering} nodes answer and {quorum} are needed; until they do, orders are answered \
             with 503"
        );
    } else {
        tracing::info!("{answering} nodes answer");
    }
}

/// Resolves at Ctrl-C or SIGTERM.
async fn shutdown() {
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
    tracing::info!("shutting down; requests in flight are finished");
}
