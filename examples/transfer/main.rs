//! A bank whose transfers lock two accounts at once. However many run in all directions, and at whichever
//! copies of the service, they do not deadlock, and no money is lost or made.
//!
//! ```sh
//! cargo run --example transfer
//! ```
//!
//! Alice, Bob and Carol have 1000 each. A transfer takes a second, because it is checked for fraud:
//!
//! ```sh
//! transfer() {
//!     curl -s --json "{\"from\": \"$1\", \"to\": \"$2\", \"amount\": $3}" \
//!         "http://127.0.0.1:3000/transfers?check_ms=${4-1000}"
//!     echo
//! }
//! transfer alice bob 10
//! ```
//!
//! Send transfers in both directions at once. They wait for each other, and the sum stays 3000:
//!
//! ```sh
//! for i in 1 2; do transfer alice bob 10 & transfer bob alice 5 & transfer bob carol 1 & done; wait
//! curl -s http://127.0.0.1:3000/accounts; echo
//! ```
//!
//! Why there is a lock: a transfer reads both balances, asks another service about them, and writes both.
//! A database transaction that is open for so long would keep a connection, and here, with SQLite, all other
//! writers waiting. If a transfer were one statement, it would need no lock.
//!
//! * **No deadlock.** [`mutex_many`](redsync_tower::redsync::Redsync::mutex_many) acquires both names or
//!   none, so a transfer never waits for one account while it holds another. With two locks, one after the
//!   other, Alice to Bob and Bob to Alice could wait for each other.
//! * **Fencing tokens.** A copy that is paused can write after its lock has expired, and another transfer has
//!   read the balance. So a transfer first [notes its token](store::Store::begin) in both rows, and
//!   [writes](store::Store::finish) only if both still have it. A lock of two names has one token, which is
//!   larger than all earlier tokens of either name, whichever other account was locked with it.
//! * **If the lock is lost** during the check, nothing is written, and the client gets 503 with `Retry-After`.
//! * **If the copy is killed**, its locks expire, and nothing is written either, because both balances are
//!   written in one transaction.
//!
//! A client that gets no answer does not know whether its transfer was made. The example `idempotency` has what is
//! needed for that.
//!
//! These environment variables are optional:
//!
//! * `PORT` (3000): the port to listen on, at 127.0.0.1.
//! * `REDIS_URLS`: the nodes, separated by commas. Three nodes in memory without it.
//! * `DATABASE`: the path of a SQLite file that processes can share. A temporary file without it.
//! * `WAIT_MS` (10000): how long a transfer waits for its accounts.
//! * `EXPIRY_MS` (8000): how long the locks of a copy stay after it has crashed.
//! * `RUST_LOG`: what is logged.

mod error;
mod store;
mod transfer;

use std::{env, path::PathBuf};

use axum::{
    Json, Router,
    extract::{Query, State},
    routing::{get, post},
};
use redsync_examples::{duration, listen, log, redsync, shutdown_signal};
use serde::Deserialize;

use self::{
    error::Error,
    store::{Balances, Store},
    transfer::{Bank, Transfer},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    log();
    let database = env::var_os("DATABASE").map(PathBuf::from);
    let store = Store::open(database.as_deref())?;
    let redsync = redsync()?;
    let bank = Bank::new(store, redsync.clone(), duration("WAIT_MS", 10_000)?);

    let (listener, url) = listen().await?;
    println!("Transfers are made on {url}/transfers");
    let app = Router::new()
        .route("/transfers", post(transfer))
        .route("/accounts", get(accounts))
        .with_state(bank);
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown_signal())
        .await?;

    // The transfers under way have been made. This waits for the releases of those that were cut off.
    redsync.drain().await;
    tracing::info!("shut down");
    Ok(())
}

#[derive(Deserialize)]
struct Check {
    /// How long the check takes.
    #[serde(default)]
    check_ms: u64,
}

async fn transfer(
    State(bank): State<Bank>,
    Query(Check { check_ms }): Query<Check>,
    Json(transfer): Json<Transfer>,
) -> Result<Json<Balances>, Error> {
    let balances = bank.transfer(transfer, check_ms).await?;
    Ok(Json(balances))
}

async fn accounts(State(bank): State<Bank>) -> Result<Json<Balances>, Error> {
    Ok(Json(bank.balances().await?))
}
