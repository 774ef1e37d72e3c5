//! A service whose reports are expensive. However many clients ask for a report at the same time, and
//! whichever copies of the service they ask, it is computed once.
//!
//! The cache is a Redis server. Start one, and two copies that share it and three servers for the locks:
//!
//! ```sh
//! for port in 6379 7001 7002 7003; do redis-server --port $port --save '' > /dev/null & done
//! export REDIS_URLS=redis://127.0.0.1:7001,redis://127.0.0.1:7002,redis://127.0.0.1:7003
//! PORT=3001 cargo run --example cache &
//! PORT=3002 cargo run --example cache
//! ```
//!
//! Ask both for a report, forty times at once. It takes two seconds, and the logs say once that it is
//! computed. Of the answers, one is `computed`, and the others `waited`, or are `cached` if they came later:
//!
//! ```sh
//! curl -Z --no-progress-meter --parallel-immediate -o /dev/null -w '%header{report-from}\n' \
//!     'http://127.0.0.1:300[1-2]/reports/7?n=[1-20]' | sort | uniq -c
//! ```
//!
//! A request looks in the cache, locks the report on a miss, **looks again**, and computes. The second
//! look is what makes it once: while the request waited for the lock, the holder has stored the report.
//!
//! What happens if something fails:
//!
//! * **The client hangs up.** The computation goes on in a task of its own. If it ended with the request,
//!   a report that takes longer than its clients wait would never be stored.
//! * **The copy that computes is killed.** Its lock expires, and the first of those who wait computes.
//! * **The computation takes longer than the expiry.** The lock is extended until the report is stored.
//! * **The nodes of the locks are down.** Two of three are enough. With fewer, each copy computes by
//!   itself, one report at a time. The lock only saves work here: two computations of a report do no harm,
//!   but forty could bring down the database. So an outage costs as much work as there are copies.
//! * **The cache is down.** Every look is a miss. Requests compute one after the other, under the
//!   lock, and those that have waited too long get 503. The database gets no more load than that.
//!
//! A fencing token is not needed. If a copy was paused, it stores its report late, over a newer one. That is
//! no worse than a cached report that is about to be dropped.
//!
//! These environment variables are optional:
//!
//! * `PORT` (3000): the port to listen on, at 127.0.0.1.
//! * `CACHE_URL` (`redis://127.0.0.1:6379`): the server that keeps the reports.
//! * `REDIS_URLS`: the nodes of the locks, separated by commas. Three nodes in memory without it, which is
//!   enough for one copy.
//! * `WORK_MS` (2000): how long it takes to compute a report.
//! * `KEEP_MS` (60000): how long a report is kept.
//! * `WAIT_MS` (10000): how long a request waits for another that computes.
//! * `EXPIRY_MS` (8000): how long the locks of a copy stay after it has crashed.
//! * `RUST_LOG`: what is logged.

mod cache;
mod once;

use axum::{
    Router,
    extract::{Path, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use redsync_examples::{duration, listen, log, redsync, shutdown_signal, text};

use self::{
    cache::Cache,
    once::{Error, Reports},
};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    log();
    let url = text("CACHE_URL")?.unwrap_or_else(|| "redis://127.0.0.1:6379".to_owned());
    let cache = Cache::connect(url, duration("KEEP_MS", 60_000)?)?;
    let redsync = redsync()?;
    let reports = Reports::new(cache, redsync.clone())
        .with_work(duration("WORK_MS", 2000)?)
        .with_wait(duration("WAIT_MS", 10_000)?);

    let (listener, url) = listen().await?;
    println!("Reports are on {url}/reports/7");
    let app = Router::new()
        .route("/reports/{id}", get(show))
        .with_state(reports);
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown_signal())
        .await?;

    // A report that is still computed for a client that has hung up is finished, too.
    redsync.drain().await;
    tracing::info!("shut down");
    Ok(())
}

async fn show(State(reports): State<Reports>, Path(id): Path<u32>) -> Result<Response, Error> {
    let (report, from) = reports.get(id).await?;
    Ok(([("report-from", from.as_str())], report).into_response())
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        match self {
            Self::Busy => {
                let words = "another request computes this report";
                let later = [(header::RETRY_AFTER, "1")];
                (StatusCode::SERVICE_UNAVAILABLE, later, words).into_response()
            }
            Self::Failed(error) => {
                tracing::error!("a report failed: {error}");
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
        }
    }
}
