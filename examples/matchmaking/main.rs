//! Matchmaking: players wait in pools, which are shared state in Redis, and workers make matches of those whose
//! skill is alike. However many workers run, a player is in one match.
//!
//! Start a Redis server for the pools, three for the locks, and two copies of the service. Each copy is a worker
//! too:
//!
//! ```sh
//! for port in 6379 7001 7002 7003; do redis-server --port $port --save '' > /dev/null & done
//! export REDIS_URLS=redis://127.0.0.1:7001,redis://127.0.0.1:7002,redis://127.0.0.1:7003
//! PORT=3001 cargo run --example matchmaking &
//! PORT=3002 cargo run --example matchmaking
//! ```
//!
//! Forty players come to the pool for duels, half of them to each copy. About a second later there are twenty
//! matches, and each player is in one:
//!
//! ```sh
//! for i in $(seq 40); do
//!     curl -s --json "{\"name\": \"player-$i\", \"skill\": $((RANDOM % 2000))}" \
//!         "http://127.0.0.1:300$((i % 2 + 1))/pools/duel/players"
//! done
//! sleep 2; curl -s http://127.0.0.1:3001/pools/duel/matches; echo
//! ```
//!
//! Why there is a lock: a worker reads the waiting players, finds matches among them, which takes half a second,
//! and writes the matches. Two workers with the same players would put each player into two matches; or, with the
//! tokens below, the matches of one of them would not be written. Each pool has a lock of its own, and a worker
//! skips a pool that another works on, so workers share the pools.
//!
//! * **What needs no lock**: that a player comes is one command of Redis. If making the matches were one script,
//!   it would need none either.
//! * **Fencing tokens.** A worker that was paused for longer than its lock is valid would write matches of
//!   players whom another worker has in mind. So a worker [notes its token](../begin.lua) in the pool when it
//!   reads, and the script that writes the matches compares.
//! * **If the lock is lost** while a worker thinks, it stops. **If the copy is killed**, its lock expires, and
//!   another takes the pool.
//! * **If the nodes of the locks are down**, no matches are made, and players can still come.
//! * At Ctrl-C or SIGTERM, a worker finishes the pool that it works on.
//!
//! These environment variables are optional:
//!
//! * `PORT` (3000): the port to listen on, at 127.0.0.1.
//! * `STATE_URL` (`redis://127.0.0.1:6379`): the server that has the pools.
//! * `REDIS_URLS`: the nodes of the locks, separated by commas. Three nodes in memory without it, which is
//!   enough for one copy.
//! * `EVERY_MS` (500): the time after which a worker looks at the pools again.
//! * `WORK_MS` (500): how long a worker takes to find the matches of a pool.
//! * `EXPIRY_MS` (8000): how long the locks of a copy stay after it has crashed.
//! * `RUST_LOG`: what is logged.

mod pools;
mod routes;
mod worker;

use redsync_examples::{duration, listen, log, redsync, shutdown_signal, text};
use tokio_util::sync::CancellationToken;

use self::{pools::Pools, worker::Worker};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    log();
    let url = text("STATE_URL")?.unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let pools = Pools::connect(url)?;
    let redsync = redsync()?;
    let worker = Worker::new(pools.clone(), redsync.clone())
        .with_every(duration("EVERY_MS", 500)?)
        .with_work(duration("WORK_MS", 500)?);

    let stop = shutdown_signal();
    let (listener, url) = listen().await?;
    println!("Pools are on {url}/pools/duel");
    let shutdown = CancellationToken::new();
    let working = tokio::spawn(worker.run(shutdown.clone()));
    axum::serve(listener, routes::router(pools))
        .with_graceful_shutdown(async move {
            stop.await;
            shutdown.cancel();
        })
        .await?;

    working.await?;
    redsync.drain().await;
    tracing::info!("shut down");
    Ok(())
}
