//! A service for payments. However often a client sends a charge with the same idempotency key, and to
//! whichever copy of the service, it is made once.
//!
//! ```sh
//! cargo run --example idempotency
//! ```
//!
//! Send a charge, and send it again. The second answer is the first one, with `idempotent-replayed: true`:
//!
//! ```sh
//! charge() {
//!     curl -si -H 'authorization: Bearer alice' -H "idempotency-key: $1" \
//!         --json "{\"amount\": $2}" "http://127.0.0.1:3000/charges?work_ms=$3"
//!     echo
//! }
//! charge 8e03978e 100 0
//! charge 8e03978e 100 0
//! ```
//!
//! With another amount, the same key has 422. While a charge is worked on, the same again has 409. Alice has
//! one charge for each key:
//!
//! ```sh
//! charge 8e03978e 200 0
//! charge 40d543e8 100 5000 & sleep 1; charge 40d543e8 100 0; wait
//! curl -s -H 'authorization: Bearer alice' http://127.0.0.1:3000/charges; echo
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
mod key;
mod store;

use std::{env, path::PathBuf, time::Duration};

use axum::{
    Router,
    body::Body,
    middleware::from_fn,
    routing::{get, post},
};
use redsync_examples::{listen, log, number, redsync, shutdown_signal};
use redsync_tower::{RedlockLayer, key as lock_key};

use self::{key::IdempotencyKey, store::Store};

/// How long a charge may be, in bytes.
const MAX_BODY: usize = 4096;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    log();
    let keep = Duration::from_secs(number("KEEP_S", 24 * 60 * 60)?);
    let database = env::var_os("DATABASE").map(PathBuf::from);
    let store = Store::open(database.as_deref(), keep)?;
    let redsync = redsync()?;
    let (listener, url) = listen().await?;
    println!("Charges are made on {url}/charges");

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
        .with_graceful_shutdown(shutdown_signal())
        .await?;

    // The charges under way have been made. This waits for the releases of those that were cut off.
    redsync.drain().await;
    tracing::info!("shut down");
    Ok(())
}
