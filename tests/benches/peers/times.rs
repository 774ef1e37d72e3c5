//! How long locks of distinct names took, as each client has seen them.

use std::time::{Duration, Instant};

use redsync_tests::bench::{nanos, percentile};

use crate::figures::Figures;

/// How long locks and their releases took, in nanoseconds.
#[derive(Default)]
pub(crate) struct Times {
    locks: Vec<u64>,
    both: Vec<u64>,
}

impl Times {
    /// Adds a lock that was begun at this instant and is held now.
    pub(crate) fn locked(&mut self, begun: Instant) {
        self.locks.push(nanos(begun.elapsed()));
    }

    /// Adds a lock that was begun at this instant and is released now.
    pub(crate) fn released(&mut self, begun: Instant) {
        self.both.push(nanos(begun.elapsed()));
    }

    pub(crate) fn extend(&mut self, others: Self) {
        self.locks.extend(others.locks);
        self.both.extend(others.both);
    }

    /// The figures of all of them, which together took this long and this much CPU time.
    pub(crate) fn figures(mut self, took: Duration, cpu: Duration) -> Figures {
        self.locks.sort_unstable();
        let figures = Figures {
            lock_p50_us: percentile(&self.locks, 0.5),
            ..Figures::default()
        };
        figures
            .with_costs(self.both.len(), took, cpu)
            .with_times(self.both)
    }
}
