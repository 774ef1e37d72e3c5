//! What redsync wants to reach, and whether it has in this run.

use crate::figures::Figures;
use crate::implementation::Implementation::{self, Deadpool, Floor, None as Plain, Rslock};
use crate::results::Results;
use crate::setting::{Setting, Threads, Variant, Workload};
use crate::table;

type Figure = fn(&Figures) -> Option<f64>;

const P50: Figure = |it| it.p50_us;
const PER_SECOND: Figure = |it| it.ops_per_s;
const CPU: Figure = |it| it.cpu_s_per_100k;

#[derive(Clone, Copy)]
enum Bound {
    AtMost(f64),
    AtLeast(f64),
}
use Bound::{AtLeast, AtMost};

/// A goal a line: what, the bound, what was measured, whether that is met.
pub(crate) fn of(results: &Results) -> String {
    let mut goals = Goals {
        results,
        lines: vec![["goal", "bound", "measured", ""].map(str::to_owned).into()],
    };
    goals.of_locks();
    goals.of_queues();
    goals.of_layer();
    table::aligned(&goals.lines, 1)
}

struct Goals<'a> {
    results: &'a Results,
    lines: Vec<Vec<String>>,
}

impl Goals<'_> {
    fn of_locks(&mut self) {
        for runtime in [Threads::Single, Threads::Multi] {
            let one = Setting {
                runtime,
                ..Setting::of(Workload::Uncontended)
            };
            let many = Setting {
                runtime,
                tasks: 512,
                ..Setting::of(Workload::Parallel)
            };
            for (setting, name, figure, of_floor, of_rslock) in [
                (one, "p50", P50, AtMost(1.15), AtMost(0.8)),
                (many, "per second", PER_SECOND, AtLeast(0.7), AtLeast(2.0)),
                (many, "CPU", CPU, AtMost(2.0), AtMost(0.5)),
            ] {
                for (peer, bound) in [(Floor, of_floor), (Rslock, of_rslock)] {
                    let ratio = self.ratio(figure, (setting, Deadpool), (setting, peer));
                    self.add(
                        &format!("{setting}: {name} / {}'s", peer.name()),
                        bound,
                        ratio,
                    );
                }
            }
        }
    }

    fn of_queues(&mut self) {
        let contended = |processes, hold_ms| Setting {
            tasks: 16,
            processes,
            hold_ms,
            ..Setting::of(Workload::Contended)
        };
        for (processes, used, queue) in [(1, 0.95, 1.3), (4, 0.9, 2.0)] {
            let setting = contended(processes, 2);
            let tasks = (setting.tasks * processes) as f64;
            let figures = self.figures(&setting, Deadpool);
            let held = figures.and_then(|it| Some(it.held_us? * it.ops_per_s? / 1e6));
            self.add(
                &format!("{setting}: part of the time that it is held"),
                AtLeast(used),
                held,
            );
            let wait = figures.and_then(|it| Some(it.p99_us? / (it.held_us? * tasks)));
            let what = format!("{setting}: wait p99 / {tasks} times what it is held");
            self.add(&what, AtMost(queue), wait);
            if processes > 1 {
                let share = figures.and_then(|it| it.fair_share_min);
                self.add(
                    &format!("{setting}: least share / fair share"),
                    AtLeast(0.5),
                    share,
                );
            }
        }
        let setting = contended(1, 0);
        let ratio = self.ratio(PER_SECOND, (setting, Deadpool), (setting, Rslock));
        self.add(
            &format!("{setting}: per second / rslock's"),
            AtLeast(50.0),
            ratio,
        );

        let handoff = Setting {
            processes: 2,
            ..Setting::of(Workload::Handoff)
        };
        let idle = Setting::of(Workload::Idle);
        let ratio = self.ratio(P50, (handoff, Deadpool), (idle, Floor));
        self.add(
            &format!("{handoff}: p50 / the floor's lock and release after idling"),
            AtMost(1.25),
            ratio,
        );

        let five = |workload| Setting {
            nodes: 5,
            ..Setting::of(workload)
        };
        let (hung, healthy) = (five(Workload::Hung), five(Workload::Healthy));
        let ratio = self.ratio(P50, (hung, Deadpool), (healthy, Deadpool));
        self.add(&format!("{hung}: p50 / all healthy"), AtMost(1.2), ratio);
    }

    fn of_layer(&mut self) {
        let layer = Setting::of_layer;
        let (passed, plain) = (layer(Variant::PassedGet), layer(Variant::PlainGet));
        // Within what the rounds without the layer differ by: no less than their lower quartile.
        let rounds = self.results.find(&plain, Plain);
        let rounds = rounds.map_or(&[][..], |it| &it.rounds);
        let mut rates: Vec<f64> = rounds.iter().filter_map(PER_SECOND).collect();
        rates.sort_by(f64::total_cmp);
        let usual = Figures::medians(rounds).ops_per_s;
        let quartile = rates.get(rates.len() / 4).zip(usual);
        let bound = quartile.map_or(1.0, |(low, usual)| low / usual);
        let ratio = self.ratio(PER_SECOND, (passed, Deadpool), (plain, Plain));
        self.add(
            &format!("{passed}: per second / without (lower quartile)"),
            AtLeast(bound),
            ratio,
        );

        let cpu = |variant, implementation| {
            // Of microseconds for one.
            Some(
                self.figures(&layer(variant), implementation)?
                    .cpu_s_per_100k?
                    * 10.0,
            )
        };
        let added = cpu(Variant::LockedPut, Deadpool)
            .zip(cpu(Variant::PlainPut, Plain))
            .zip(cpu(Variant::Bare, Deadpool))
            .map(|((locked, plain), bare)| locked - plain - bare);
        let setting = layer(Variant::LockedPut);
        self.add(
            &format!("{setting}: µs of CPU beyond those of the lock alone"),
            AtMost(10.0),
            added,
        );
    }

    fn add(&mut self, what: &str, bound: Bound, measured: Option<f64>) {
        let (sign, limit) = match bound {
            AtMost(limit) => ('≤', limit),
            AtLeast(limit) => ('≥', limit),
        };
        let (measured, met) = match (measured, bound) {
            (None, _) => ("-".to_owned(), "not measured"),
            (Some(it), AtMost(limit)) if it <= limit => (format!("{it:.2}"), "met"),
            (Some(it), AtLeast(limit)) if it >= limit => (format!("{it:.2}"), "met"),
            (Some(it), _) => (format!("{it:.2}"), "MISSED"),
        };
        let bound = format!("{sign} {limit:.2}");
        self.lines
            .push(vec![what.to_owned(), bound, measured, met.to_owned()]);
    }

    fn figures(&self, setting: &Setting, implementation: Implementation) -> Option<Figures> {
        Some(self.results.find(setting, implementation)?.figures())
    }

    fn ratio(
        &self,
        figure: Figure,
        ours: (Setting, Implementation),
        theirs: (Setting, Implementation),
    ) -> Option<f64> {
        let of = |(setting, implementation)| figure(&self.figures(&setting, implementation)?);
        Some(of(ours)? / of(theirs)?)
    }
}
