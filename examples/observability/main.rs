//! A service whose locks can be watched: in its log, by Prometheus, and on a dashboard of Grafana.
//!
//! Start three servers, and two copies of the service:
//!
//! ```sh
//! for port in 7001 7002 7003; do redis-server --port $port --save '' > /dev/null & done
//! export REDIS_URLS=redis://127.0.0.1:7001,redis://127.0.0.1:7002,redis://127.0.0.1:7003
//! PORT=3001 cargo run --example observability --features metrics &
//! PORT=3002 cargo run --example observability --features metrics
//! ```
//!
//! Ten orders are changed at both copies, a hundred times. Requests wait for each other, and some are
//! refused:
//!
//! ```sh
//! for i in $(seq 100); do
//!     curl -Z --no-progress-meter --parallel-immediate -o /dev/null -w '%{http_code}\n' -X PUT \
//!         'http://127.0.0.1:300[1-2]/orders/[1-10]?work_ms=100&n=[1-2]'
//! done | sort | uniq -c
//! ```
//!
//! The log has a line when a request gets its lock, and when it releases it or is refused, each with the
//! span of the lock: its name, how long the request waited, and its fencing token. The figures are on
//! `/metrics`. Prometheus collects them, and evaluates the alerts of `alerts.yml`, which are those
//! of the docs [for operators](redsync_tower::redsync::guide::operators):
//!
//! ```sh
//! curl -s http://127.0.0.1:3001/metrics | grep ^redsync
//! prometheus --config.file examples/observability/prometheus.yml --storage.tsdb.path /tmp/prometheus
//! ```
//!
//! Prometheus shows the alerts at <http://127.0.0.1:9090/alerts>. In Grafana, add a data source for
//! `http://127.0.0.1:9090`, and import `dashboard.json` with *Dashboards, New, Import*. `alerts.test.yml` tests
//! when the alerts fire, and when not: a single failure is no reason to wake anybody.
//!
//! ```sh
//! promtool test rules examples/observability/alerts.test.yml
//! ```
//!
//! What to try:
//!
//! * **One server ends**, by Ctrl-C or `kill`. Nothing happens to requests. The log has one warning, the dashboard
//!   shows which node fails, and why, and after ten minutes there is an alert.
//! * **Two servers end.** Requests get 503, the log says every ten seconds that the outage goes on, and after
//!   three minutes there is an alert.
//! * **A copy is stopped with Ctrl-Z** while it works, and continued with `fg` after ten seconds. It has
//!   lost its locks, which is a warning and an alert: another copy may have worked at the same time.
//!
//! How it works:
//!
//! * **The recorder is installed before the nodes are connected.** So the counters are there from the
//!   start. A counter that appeared with its first loss would not have grown, for Prometheus.
//! * **Histograms have buckets** ([`figures`]). Without them, the exporter makes summaries, which cannot be added up
//!   over copies.
//! * **The layer has a label**, `orders`, which is in its figures and spans.
//! * In production, `/metrics` belongs on a port that only Prometheus can reach.
//!
//! These environment variables are optional:
//!
//! * `PORT` (3000): the port to listen on, at 127.0.0.1.
//! * `REDIS_URLS`: the nodes, separated by commas. Three nodes in memory without it.
//! * `WAIT_MS` (300): how long a request waits for its order.
//! * `EXPIRY_MS` (8000): how long the locks of a copy stay after it has crashed.
//! * `RUST_LOG`: what is logged.

mod figures;

use std::time::Duration;

use axum::{
    Router,
    extract::{Path, Query},
    routing::{get, put},
};
use redsync_examples::{duration, listen, log, redsync, shutdown_signal};
use redsync_tower::{HeldLock, RedlockLayer, key};
use serde::Deserialize;
use tokio::time::sleep;

use self::figures::Figures;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    log();
    let figures = Figures::install()?;
    let redsync = redsync()?;
    let order = key::from_extractor(|Path(id): Path<u32>| format!("order:{id}"));
    let lock = RedlockLayer::new(redsync.clone(), order)
        .with_label("orders")
        .with_fencing(true)
        .with_wait(duration("WAIT_MS", 300)?);

    let upkeep = tokio::spawn(figures.clone().keep_up());
    let app = Router::new()
        .route("/orders/{id}", put(change).route_layer(lock))
        .route("/metrics", get(async move || figures.render()));
    let (listener, url) = listen().await?;
    println!("Orders are changed on {url}/orders/1, and the figures are on {url}/metrics");
    axum::serve(listener, app)
        .with_graceful_shutdown(shutdown_signal())
        .await?;

    redsync.drain().await;
    upkeep.abort();
    tracing::info!("shut down");
    Ok(())
}

#[derive(Deserialize)]
struct Work {
    /// How long the change takes.
    #[serde(default)]
    work_ms: u64,
}

async fn change(lock: HeldLock, Query(Work { work_ms }): Query<Work>) -> String {
    sleep(Duration::from_millis(work_ms)).await;
    format!("changed under {}\n", lock.name())
}
