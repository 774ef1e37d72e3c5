//! The table: a row per setting and figure, a column per implementation.

use std::mem;

use redsync_tests::bench::{aligned, number, time};

use crate::{
    figures::Figures,
    implementation::Implementation,
    results::{Measured, Results},
    setting::{Setting, Workload},
};

type Row = (&'static str, fn(&Figures) -> Option<String>);

const P50: Row = ("p50", |it| it.p50_us.map(time));
const LOCK_P50: Row = ("p50 of the lock", |it| it.lock_p50_us.map(time));
const P99: Row = ("p99", |it| it.p99_us.map(time));
const WAIT_P50: Row = ("wait p50", |it| it.p50_us.map(time));
const WAIT_P99: Row = ("wait p99", |it| it.p99_us.map(time));
const PER_SECOND: Row = ("per second", |it| it.ops_per_s.map(number));
const CPU: Row = ("CPU s per 100k", |it| it.cpu_s_per_100k.map(number));
const CPU_PER_SECTION: Row = ("CPU µs per section", |it| it.cpu_us().map(number));
const LEAST_SHARE: Row = ("least share", |it| it.fair_share_min.map(number));

/// The rows that matter for a workload.
const fn rows(setting: &Setting) -> &'static [Row] {
    match setting.workload {
        Workload::Parallel | Workload::Layer => &[PER_SECOND, P50, P99, CPU],
        Workload::Contended if setting.processes > 1 => {
            &[PER_SECOND, WAIT_P50, WAIT_P99, CPU_PER_SECTION, LEAST_SHARE]
        }
        Workload::Contended => &[PER_SECOND, WAIT_P50, WAIT_P99, CPU_PER_SECTION],
        Workload::Handoff => &[P50, P99],
        Workload::Idle => &[P50, LOCK_P50, P99],
        Workload::Uncontended | Workload::Healthy | Workload::Hung | Workload::Killed => {
            &[P50, P99, CPU]
        }
    }
}

/// The table as text.
pub(crate) fn of(results: &Results) -> String {
    let (mut settings, mut implementations) = (Vec::<Setting>::new(), Vec::<Implementation>::new());
    for measured in results.iter() {
        if !settings.contains(&measured.setting) {
            settings.push(measured.setting);
        }
        if !implementations.contains(&measured.implementation) {
            implementations.push(measured.implementation);
        }
    }
    let mut head = vec![String::new(), String::new()];
    head.extend(implementations.iter().map(|it| it.title().to_owned()));
    let mut lines = vec![head];
    for setting in settings {
        let figures = |it: &Implementation| results.find(&setting, *it).map(Measured::figures);
        let figures: Vec<_> = implementations.iter().map(figures).collect();
        let mut label = setting.to_string();
        for (name, cell) in rows(&setting) {
            let cells = figures.iter().map(|it| it.as_ref().and_then(cell));
            let mut line = vec![mem::take(&mut label), (*name).to_owned()];
            line.extend(cells.map(|cell| cell.unwrap_or_else(|| "-".to_owned())));
            lines.push(line);
        }
    }
    aligned(&lines, 2)
}
