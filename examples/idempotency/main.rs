//! A service for payments. However often a client sends a charge with the same idempotency key, and to
//! whichever copy of the service, it is made once.
//!
//! ```sh
//! cargo run --example idempotency
//! ```
//!
//! It follows draft-ietf-httpapi-idempotency-key-header-07. A lock alone is not enough: it keeps two
//! requests with one key from running at the same time, but if the second comes later, it would be a
//! second charge. These steps make it one:
//!
//! 1. Authentication, outside of the lock. A key counts for one customer (section 5), so the
//!    customer is in the name of the lock and in the primary key of the stored answers.
//! 2. The lock. A duplicate of a request that is still in flight has 409 (section 2.6).
//! 3. [`Store::begin`](store::Store::begin) looks for a stored answer. A duplicate of a request that
//!    has ended gets that answer, with `idempotent-replayed: true`; with another payload it has 422
//!    (section 2.7). Otherwise the fencing token of the lock is noted.
//! 4. The work that takes time, such as a check for fraud. No transaction is open meanwhile.
//! 5. [`Store::finish`](store::Store::finish) makes the charge and stores the answer in one
//!    transaction, if the token is still that of this request. If the process is killed before the
//!    commit, there is neither a charge nor an answer, and the client can repeat its request. If the
//!    process was paused until another request took over, nothing is written.
//!
//! A refusal such as 402 is an answer too, and is stored. An answer to a request that has not been
//! carried out, such as 400 or 500, is not.
//!
//! **If a payment provider makes the charge**, no transaction includes it. Send the provider the
//! customer and key as its own idempotency key: then a repeated request is one charge there, and the
//! provider's answer can be stored in step 5 even if the first request was killed before it.
//!
//! These environment variables are optional:
//!
//! * `PORT` (3000): the port to listen on, at 127.0.0.1.
//! * `REDIS_URLS`: the nodes, separated by commas. Three nodes in memory without it.
//! * `DATABASE`: the path of a SQLite file that processes can share. A temporary file without it.
//! * `KEEP_S` (86400): how long answers are kept, in seconds. Clients have to know it (section 2.3).
//! * `EXPIRY_MS` (8000): how long the locks of a copy stay after it has crashed.
//! * `RUST_LOG`: what is logged.

mod charges;
mod config;
mod key;
mod store;

use anyhow::Context;
use axum::{
    Router,
    body::Body,
    middleware::from_fn,
    routing::{get, post},
};
use redsync_tower::{RedlockLayer, key as lock_key};
use tokio::{net::TcpListener, signal};
use tracing_subscriber::EnvFilter;

use self::{config::Config, key::IdempotencyKey, store::Store};

/// How long a charge may be, in bytes.
const MAX_BODY: usize = 4096;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("info,redsync_tower=debug"));
    tracing_subscriber::fmt().with_env_filter(filter).init();

    let config = Config::from_env()?;
    let store = Store::open(config.database.as_deref(), config.keep)?;
    let redsync = config.redsync()?;
    let listener = TcpListener::bind(("127.0.0.1", config.port))
        .await
        .with_context(|| format!("cannot listen on port {}", config.port))?;
    print!("{}", config.instructions());

    let name = |key: IdempotencyKey| key.lock_name("charge");
    let lock = RedlockLayer::new(redsync.clone(), lock_key::from_extractor(name))
        .with_fencing(true)
        // A client that is slow to send its charge holds no lock meanwhile.
        .with_body_first(MAX_BODY, Body::new);
    let app = Router::new()
        .route(
            "/charges",
            post(charges::make)
                .route_layer(lock)
                .merge(get(charges::list)),
        )
        // Outside of the lock: it comes first.
        .layer(from_fn(key::authenticate))
        .with_state(store);
    axum::serve(listener, app)
        .with_graceful_shutdown(async { signal::ctrl_c().await.expect("a handler for Ctrl-C") })
        .await?;
    redsync.drain().await;
    Ok(())
}
