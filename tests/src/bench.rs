//! What the benchmarks share: clocks, percentiles, goals, and tables as text.

use std::{
    env,
    process::{Command, Stdio},
    time::Duration,
};

use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// The bound of a goal.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Bound {
    /// The figure is to be no larger than this.
    AtMost(f64),
    /// The figure is to be no smaller than this.
    AtLeast(f64),
}

impl Bound {
    /// Whether a figure is within the bound.
    #[must_use]
    pub fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(limit) => figure <= limit,
            Self::AtLeast(limit) => figure >= limit,
        }
    }

    /// What a table says of a figure that was to be within the bound.
    #[must_use]
    pub fn verdict(self, figure: Option<f64>) -> &'static str {
        match figure {
            None => "not measured",
            Some(figure) if self.holds(figure) => "met",
            Some(_) => "MISSED",
        }
    }

    /// The bound as text, its number written by `show`.
    #[must_use]
    pub fn text(self, show: impl Fn(f64) -> String) -> String {
        match self {
            Self::AtMost(limit) => format!("≤ {}", show(limit)),
            Self::AtLeast(limit) => format!("≥ {}", show(limit)),
        }
    }
}

/// Aligns the cells of lines in columns: the first `to_the_left` columns to the left, the others to
/// the right.
#[must_use]
pub fn aligned(lines: &[Vec<String>], to_the_left: usize) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width = |column| {
        let cells = lines.iter().filter_map(|line| line.get(column));
        cells
            .map(|cell: &String| cell.chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<_> = (0..columns).map(width).collect();
    let line = |line: &Vec<String>| {
        let cells = line.iter().zip(&widths).enumerate();
        let cells = cells.map(|(column, (cell, &width))| match column {
            _ if column < to_the_left => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ")
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// A time in microseconds as text.
#[must_use]
pub fn time(us: f64) -> String {
    match us {
        ..1e3 => format!("{us:.0} µs"),
        ..1e6 => format!("{:.1} ms", us / 1e3),
        _ => format!("{:.2} s", us / 1e6),
    }
}

/// A number as text, with about three digits.
#[must_use]
pub fn number(number: f64) -> String {
    match number {
        ..10.0 => format!("{number:.2}"),
        ..100.0 => format!("{number:.1}"),
        ..10_000.0 => format!("{number:.0}"),
        _ => format!("{:.1}k", number / 1e3),
    }
}

/// A number as text with all its digits, in groups of three: for an axis.
#[must_use]
pub fn grouped(number: f64) -> String {
    let text = number.to_string();
    let (whole, _) = text.split_once('.').unwrap_or((&text, ""));
    let mut grouped = text.clone();
    for at in (1..whole.len())
        .rev()
        .filter(|at| (whole.len() - at).is_multiple_of(3))
    {
        grouped.insert(at, ',');
    }
    grouped
}

/// A percentile of sorted nanoseconds, in microseconds: the smallest time that this part of them
/// does not exceed.
#[must_use]
pub fn percentile(sorted: &[u64], part: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * part).ceil() as usize;
    let time = sorted.get(rank.saturating_sub(1))?;
    Some(*time as f64 / 1e3)
}

/// A time in whole nanoseconds.
#[must_use]
pub fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// The CPU time of this process so far, user and system together.
#[must_use]
pub fn cpu_time() -> Duration {
    read(ClockId::ProcessCPUTime)
}

/// A clock that all processes of a machine share.
#[must_use]
pub fn machine_time() -> Duration {
    read(ClockId::Monotonic)
}

fn read(clock: ClockId) -> Duration {
    clock_gettime(clock)
        .try_into()
        .expect("a time that is not negative")
}

/// Checks that there is a server to start.
///
/// # Errors
///
/// A message that says how to get one.
pub fn find_redis() -> Result<(), String> {
    let program = env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned());
    let mut version = Command::new(&program);
    match version.arg("--version").stdout(Stdio::null()).status() {
        Ok(_) => Ok(()),
        Err(error) => Err(format!(
            "cannot run `{program}`: {error}; install Redis, or say where it is in REDIS_SERVER"
        )),
    }
}
