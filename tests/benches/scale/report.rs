//! What was measured, and whether it meets the goals.

use redsync_tests::bench::{Bound, aligned, number};
use serde::{Deserialize, Serialize};

use crate::{Error, parts::Run};

/// One figure of a part.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) what: String,
    pub(crate) figure: f64,
    pub(crate) bound: Option<Bound>,
}

/// From this many on, the memory that the process needs anyway no longer counts.
const MANY: usize = 1_000;

impl Row {
    /// A figure without a goal.
    pub(crate) fn plain(what: &str, figure: f64) -> Self {
        let what = what.to_owned();
        Self {
            what,
            figure,
            bound: None,
        }
    }

    pub(crate) fn at_most(what: &str, figure: f64, limit: f64) -> Self {
        let bound = Some(Bound::AtMost(limit));
        Self {
            bound,
            ..Self::plain(what, figure)
        }
    }

    /// The memory that each of `count` things needs, of all these bytes.
    pub(crate) fn memory(bytes: f64, count: usize) -> Self {
        Self::plain("memory each, kB", bytes / count as f64 / 1e3)
    }

    /// The same, with a goal for many of them.
    pub(crate) fn memory_at_most(bytes: f64, count: usize, limit: f64) -> Self {
        let bound = (count >= MANY).then_some(Bound::AtMost(limit));
        Self {
            bound,
            ..Self::memory(bytes, count)
        }
    }

    pub(crate) fn at_least(what: &str, figure: f64, limit: f64) -> Self {
        let bound = Some(Bound::AtLeast(limit));
        Self {
            bound,
            ..Self::plain(what, figure)
        }
    }
}

/// The rows of all parts.
#[derive(Default)]
pub(crate) struct Report {
    rows: Vec<(Run, Row)>,
    failed: Vec<Run>,
}

impl Report {
    pub(crate) fn add(&mut self, run: Run, rows: Vec<Row>) {
        self.rows.extend(rows.into_iter().map(|row| (run, row)));
    }

    pub(crate) fn fail(&mut self, run: Run, error: &Error) {
        eprintln!("{run} failed: {error}");
        self.failed.push(run);
    }

    pub(crate) fn failures(&self) -> usize {
        self.failed.len()
    }

    /// The figures with this name, by the size of their part.
    pub(crate) fn growth<'a>(
        &'a self,
        part: &'a str,
        what: &'a str,
    ) -> impl Iterator<Item = (f64, f64)> + 'a {
        let rows = self.rows.iter();
        let rows = rows.filter(move |(run, row)| run.part.name() == part && row.what == what);
        rows.map(|(run, row)| (run.size as f64, row.figure))
    }

    pub(crate) fn table(&self) -> String {
        let mut lines = vec![
            ["load", "figure", "goal", "measured", ""]
                .map(str::to_owned)
                .into(),
        ];
        let mut last = None;
        for (run, row) in &self.rows {
            let load = if last == Some(run) {
                String::new()
            } else {
                run.to_string()
            };
            last = Some(run);
            lines.push(vec![
                load,
                row.what.clone(),
                row.bound
                    .map_or_else(String::new, |bound| bound.text(number)),
                number(row.figure),
                row.bound
                    .map_or("", |bound| bound.verdict(Some(row.figure)))
                    .to_owned(),
            ]);
        }
        lines.extend(
            self.failed
                .iter()
                .map(|run| vec![run.to_string(), "failed".to_owned()]),
        );
        aligned(&lines, 2)
    }
}
