//! A service for orders. However many copies of it run, requests for the same order run one at a
//! time.
//!
//! ```sh
//! cargo run --example orders
//! ```
//!
//! Open <http://127.0.0.1:3000>: one button runs several requests for one order with the lock, another
//! runs them without it. The page shows which requests wait, which one holds the lock, on which nodes, and
//! how many updates are lost. The program also prints commands to try in a terminal.
//!
//! Several copies, with the same nodes and the same database, show each other's requests:
//!
//! ```sh
//! for port in 7001 7002 7003; do redis-server --port $port --save '' > /dev/null & done
//! export REDIS_URLS=redis://127.0.0.1:7001,redis://127.0.0.1:7002,redis://127.0.0.1:7003
//! export DATABASE=/tmp/orders.sqlite PEERS=http://127.0.0.1:3001,http://127.0.0.1:3002
//! PORT=3001 cargo run --example orders &
//! PORT=3002 cargo run --example orders
//! ```
//!
//! `docker-compose.yml`, beside this file, starts three Redis servers and two copies behind a proxy.
//!
//! These environment variables are optional:
//!
//! * `PORT` (3000) and `HOST` (127.0.0.1): where to listen.
//! * `INSTANCE`: the name of this copy, which the page shows, and with which the owner values of its locks
//!   begin. The port without it.
//! * `PEERS`: the URLs of the copies to which the page sends its requests, in turn, separated by commas.
//!   Only this copy without it.
//! * `REDIS_URLS`: the nodes, separated by commas. Three nodes in memory without it.
//! * `DATABASE`: the path of a SQLite file that processes can share. A temporary file without it.
//! * `WAIT_MS` (2000): how long a request waits for its order; 0 refuses at once.
//! * `EXPIRY_MS` (8000): how long the locks of a copy stay after it has crashed.
//! * `RUST_LOG`: what is logged.

mod config;
mod database;
mod error;
mod events;
mod handlers;
mod instructions;
mod live;
mod nodes;
mod page;
mod record;
mod runs;
mod store;

use std::sync::Arc;

use axum::{
    Router,
    middleware::from_fn_with_state,
    routing::{get, post},
};
use redsync_examples::{listen, log, shutdown_signal};
use redsync_tower::{RedlockLayer, key, redsync::Redsync};
use tokio_util::sync::CancellationToken;

use self::{
    config::Config, database::Database, events::Events, instructions::instructions, live::Live,
    nodes::Nodes, record::Recorder, runs::Runs, store::Store,
};

/// The route whose requests lock an order.
const ITEMS: &str = "/orders/{id}/items";

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    log();
    let config = Config::from_env()?;
    let database = Database::open(config.database.as_deref())?;
    let redsync = config.redsync()?;
    let stop = shutdown_signal();
    let (listener, url) = listen().await?;

    let nodes = Nodes::new(redsync.clone()).await;
    nodes.report();
    print!("{}", instructions(&url, &nodes, config.wait));

    let events = Events::new(database.clone());
    let background = [
        tokio::spawn(nodes.clone().keep_probing()),
        tokio::spawn(events.clone().keep_writing()),
    ];

    // Cancelled at the begin of the shutdown: no request waits for its order any longer.
    let shutdown = CancellationToken::new();
    let services = Services {
        store: Store::new(database),
        redsync: redsync.clone(),
        nodes,
        events: events.clone(),
        shutdown: shutdown.clone(),
    };
    axum::serve(listener, app(&config, services))
        .with_graceful_shutdown(async move {
            stop.await;
            shutdown.cancel();
        })
        .await?;

    // The requests have finished. This waits for the releases of those that were cut off.
    redsync.drain().await;
    for task in background {
        task.abort();
    }
    events.flush().await?;
    tracing::info!("shut down");
    Ok(())
}

/// What the routes share.
struct Services {
    store: Store,
    redsync: Redsync,
    nodes: Nodes,
    events: Events,
    shutdown: CancellationToken,
}

fn app(config: &Config, services: Services) -> Router {
    let Services {
        store,
        redsync,
        nodes,
        events,
        shutdown,
    } = services;
    let instance = &config.instance;
    let recorder = Recorder {
        events: events.clone(),
        redsync: redsync.clone(),
        instance: Arc::clone(instance),
    };
    let arrived = from_fn_with_state(recorder.clone(), record::arrived);
    let working = from_fn_with_state(recorder, record::working);
    let key = key::path("order:{id}").for_route(ITEMS);
    let lock = RedlockLayer::new(redsync, key)
        .with_wait(config.wait)
        .with_preferred_wait(runs::WAIT)
        .with_fencing(true)
        .with_shutdown(shutdown.clone());
    let add_items = post(handlers::add_items).route_layer(working);
    let orders = Router::new()
        .route(ITEMS, add_items.clone().route_layer(lock))
        .route("/unlocked/orders/{id}/items", add_items)
        .route_layer(arrived)
        .route("/orders/{id}", get(handlers::show))
        .route("/healthz", get(handlers::health))
        .with_state(handlers::App {
            store: store.clone(),
            nodes: nodes.clone(),
        });

    let runs = Runs::new(
        store,
        events.clone(),
        Arc::clone(instance),
        config.peers.clone(),
    );
    let live = Live {
        events,
        nodes,
        instance: Arc::clone(instance),
        shutdown,
    };
    Router::new()
        .merge(orders)
        .merge(page::routes())
        .route("/runs", post(runs::start).with_state(runs))
        .route("/live", get(live::stream).with_state(live))
}
