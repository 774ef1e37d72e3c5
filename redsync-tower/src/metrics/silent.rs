//! The same metrics without the feature `metrics`: nothing is recorded.

use std::time::Duration;

use crate::outcome::Outcome;

/// The metrics of a layer and its clones.
#[derive(Clone)]
pub(crate) struct Metrics;

#[expect(clippy::unused_self, reason = "used with the feature")]
impl Metrics {
    pub(crate) const fn new(_: Option<&'static str>) -> Self {
        Self
    }

    pub(crate) const fn waiting(&self, _: f64) {}
    pub(crate) const fn holding(&self, _: f64) {}
    pub(crate) const fn request(&self, _: Outcome) {}
    pub(crate) const fn wait(&self, _: Outcome, _: Duration) {}
    pub(crate) const fn hold(&self, _: Duration) {}
}
