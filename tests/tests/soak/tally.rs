//! Figures of a run: grants, waits and failures.

use std::{collections::BTreeMap, time::Duration};

#[derive(Debug, Default)]
pub(crate) struct Tally {
    grants: usize,
    /// Why locks were lost.
    losses: Vec<String>,
    failures: BTreeMap<String, usize>,
    waits: Waits,
    recent: Waits,
}

/// How long calls waited for their locks.
#[derive(Debug, Default)]
struct Waits(Vec<Duration>);

impl Tally {
    pub(crate) fn grant(&mut self, waited: Duration) {
        self.grants += 1;
        self.waits.0.push(waited);
        self.recent.0.push(waited);
    }

    pub(crate) fn failure(&mut self, reason: String) {
        *self.failures.entry(reason).or_default() += 1;
    }

    pub(crate) fn lose(&mut self, reason: String) {
        self.losses.push(reason);
    }

    pub(crate) const fn grants(&self) -> usize {
        self.grants
    }

    pub(crate) fn losses(&self) -> &[String] {
        &self.losses
    }

    pub(crate) const fn failures(&self) -> &BTreeMap<String, usize> {
        &self.failures
    }

    /// The wait that so many of a hundred calls did not exceed.
    pub(crate) fn percentile(&mut self, percent: usize) -> Duration {
        self.waits.percentile(percent)
    }

    /// The same, of the calls since the last time.
    pub(crate) fn recent_percentile(&mut self, percent: usize) -> Duration {
        let wait = self.recent.percentile(percent);
        self.recent.0.clear();
        wait
    }
}

impl Waits {
    fn percentile(&mut self, percent: usize) -> Duration {
        self.0.sort_unstable();
        let place = self.0.len() * percent / 100;
        let last = self.0.len().saturating_sub(1);
        self.0.get(place.min(last)).copied().unwrap_or_default()
    }
}
