//! The figures of the process, as Prometheus reads them.

use std::time::Duration;

use axum::{
    http::header,
    response::{IntoResponse, Response},
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tokio::time::interval;

/// The upper bounds of the buckets, in seconds: from a lock on a local network to a handler that takes a minute.
const BUCKETS: [f64; 14] = [
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
];

/// How often the values of histograms are put into their buckets, if nobody reads them.
const UPKEEP: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(crate) struct Figures(PrometheusHandle);

impl Figures {
    /// Records all figures of this process from here on.
    pub(crate) fn install() -> anyhow::Result<Self> {
        let of_redsync = Matcher::Prefix("redsync_".to_owned());
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(of_redsync, &BUCKETS)?
            .install_recorder()?;
        Ok(Self(handle))
    }

    /// Keeps the memory bounded while Prometheus does not ask. Never ends.
    pub(crate) async fn keep_up(self) {
        let mut interval = interval(UPKEEP);
        loop {
            interval.tick().await;
            self.0.run_upkeep();
        }
    }

    pub(crate) fn render(&self) -> Response {
        let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4")];
        (kind, self.0.render()).into_response()
    }
}
