//! The figures of a measurement.

use std::time::Duration;

use redsync_tests::bench::percentile;
use serde::Serialize;

/// The figures of one measurement, or their medians over several. Figures that mean nothing for a
/// workload are missing.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Figures {
    pub(crate) p50_us: Option<f64>,
    pub(crate) p99_us: Option<f64>,
    pub(crate) max_us: Option<f64>,
    pub(crate) ops_per_s: Option<f64>,
    pub(crate) cpu_s_per_100k: Option<f64>,
    /// The time of the lock alone, without the release.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) lock_p50_us: Option<f64>,
    /// How long a lock was held, as measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) held_us: Option<f64>,
    /// The smallest share of a process, as a part of the fair share.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) fair_share_min: Option<f64>,
}

impl Figures {
    /// The median of each.
    pub(crate) fn medians(rounds: &[Self]) -> Self {
        let of = |figure: fn(&Self) -> Option<f64>| {
            let mut figures: Vec<f64> = rounds.iter().filter_map(figure).collect();
            figures.sort_by(f64::total_cmp);
            let (low, high) = (
                figures.get((figures.len().max(1) - 1) / 2)?,
                figures.get(figures.len() / 2)?,
            );
            Some(f64::midpoint(*low, *high))
        };
        Self {
            p50_us: of(|it| it.p50_us),
            p99_us: of(|it| it.p99_us),
            max_us: of(|it| it.max_us),
            ops_per_s: of(|it| it.ops_per_s),
            cpu_s_per_100k: of(|it| it.cpu_s_per_100k),
            lock_p50_us: of(|it| it.lock_p50_us),
            held_us: of(|it| it.held_us),
            fair_share_min: of(|it| it.fair_share_min),
        }
    }

    /// The CPU time of one operation.
    pub(crate) fn cpu_us(&self) -> Option<f64> {
        self.cpu_s_per_100k.map(|seconds| seconds * 10.0)
    }

    /// Adds the distribution of these times, in nanoseconds.
    pub(crate) fn with_times(self, mut times: Vec<u64>) -> Self {
        times.sort_unstable();
        Self {
            p50_us: percentile(&times, 0.50),
            p99_us: percentile(&times, 0.99),
            max_us: percentile(&times, 1.0),
            ..self
        }
    }

    /// Adds the rate and cost of operations that took this long, and this much CPU time, all
    /// together.
    pub(crate) fn with_costs(self, operations: usize, took: Duration, cpu: Duration) -> Self {
        let operations = operations as f64;
        let cost = cpu.as_secs_f64() / operations * 100_000.0;
        Self {
            ops_per_s: Some(operations / took.as_secs_f64()),
            cpu_s_per_100k: Some(cost).filter(|cost| cost.is_finite()),
            ..self
        }
    }
}
