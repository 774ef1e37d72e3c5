//! The list of all goals.

use redsync_tests::bench::Bound::{AtLeast, AtMost};

use super::{CPU, Goal, P50, PER_SECOND};
use crate::{
    figures::Figures,
    implementation::Implementation::{Deadpool, Floor, None as Plain, Rslock},
    results::Measured,
    setting::{Setting, Threads, Variant, Workload},
};

pub(super) fn all() -> Vec<Goal> {
    let mut goals = one_task();
    goals.extend(many_tasks());
    goals.extend(one_name_in_one_process());
    goals.extend(one_name_in_several_processes());
    goals.push(process_to_process());
    goals.push(hung_node());
    goals.extend(layer());
    goals
}

/// The settings of a workload on three and on five nodes, on one thread and on two.
fn on_three_and_five(setting: Setting) -> impl Iterator<Item = Setting> {
    [Threads::Single, Threads::Multi]
        .into_iter()
        .flat_map(move |runtime| {
            [3, 5].map(|nodes| Setting {
                nodes,
                runtime,
                ..setting
            })
        })
}

fn one_task() -> Vec<Goal> {
    let mut goals = Vec::new();
    for setting in on_three_and_five(Setting::of(Workload::Uncontended)) {
        let p50 = ("p50", P50);
        goals.push(Goal::beside(Floor, setting, p50, AtMost(1.1)));
        if setting.nodes == 3 {
            goals.push(Goal::beside(Rslock, setting, p50, AtMost(0.8)));
        }
    }
    goals
}

fn many_tasks() -> Vec<Goal> {
    let mut goals = Vec::new();
    for setting in on_three_and_five(Setting {
        tasks: 512,
        ..Setting::of(Workload::Parallel)
    }) {
        let (rate, cpu) = (("per second", PER_SECOND), ("CPU", CPU));
        match setting.runtime {
            Threads::Single => {
                goals.push(Goal::beside(Floor, setting, rate, AtLeast(0.75)));
                goals.push(Goal::beside(Floor, setting, cpu, AtMost(3.0)));
            }
            Threads::Multi => goals.push(Goal::beside(Floor, setting, rate, AtLeast(0.7))),
        }
        if setting.nodes == 3 {
            goals.push(Goal::beside(Rslock, setting, rate, AtLeast(2.0)));
            goals.push(Goal::beside(Rslock, setting, cpu, AtMost(0.5)));
        }
    }
    goals
}

const fn contended(processes: usize, hold_ms: u64) -> Setting {
    Setting {
        tasks: 16,
        processes,
        hold_ms,
        ..Setting::of(Workload::Contended)
    }
}

/// The part of the time for which the name is held.
fn held(setting: Setting, bound: f64) -> Goal {
    let held = |it: &Figures| Some(it.held_us? * it.ops_per_s? / 1e6);
    let what = "part of the time for which it is held";
    Goal::of(what, (setting, Deadpool), AtLeast(bound), held)
}

/// The longest waits, compared with the ideal: tasks that hold the name one after the other,
/// without a pause between.
fn wait(setting: Setting, bound: f64) -> Goal {
    let tasks = setting.tasks * setting.processes;
    let wait = move |it: &Figures| Some(it.p99_us? / (it.held_us? * tasks as f64));
    let what = format!("wait p99 / {tasks} times as long as it is held");
    Goal::of(&what, (setting, Deadpool), AtMost(bound), wait)
}

fn one_name_in_one_process() -> [Goal; 3] {
    let setting = contended(1, 2);
    let rate = ("per second", PER_SECOND);
    [
        held(setting, 0.95),
        wait(setting, 1.3),
        Goal::beside(Rslock, contended(1, 0), rate, AtLeast(50.0)),
    ]
}

fn one_name_in_several_processes() -> [Goal; 4] {
    let setting = contended(4, 2);
    let ours = (setting, Deadpool);
    let least_share = |it: &Figures| it.fair_share_min;
    [
        held(setting, 0.9),
        wait(setting, 1.5),
        Goal::of("µs of CPU per section", ours, AtMost(400.0), CPU),
        Goal::of("least share / fair share", ours, AtLeast(0.5), least_share),
    ]
}

fn process_to_process() -> Goal {
    let setting = Setting {
        processes: 2,
        ..Setting::of(Workload::Handoff)
    };
    let idle = Setting::of(Workload::Idle);
    Goal::ratio(
        "p50 / the lock of floor, tokio, after a pause",
        ((setting, Deadpool), P50),
        ((idle, Floor), |it| it.lock_p50_us),
        AtMost(1.5),
    )
}

fn hung_node() -> Goal {
    let five = |workload| Setting {
        nodes: 5,
        ..Setting::of(workload)
    };
    let hung = ((five(Workload::Hung), Deadpool), P50);
    let healthy = ((five(Workload::Healthy), Deadpool), P50);
    Goal::ratio(
        "p50 / that with all nodes healthy",
        hung,
        healthy,
        AtMost(1.2),
    )
}

fn layer() -> [Goal; 2] {
    let layer = Setting::of_layer;
    let passed = Goal {
        what: format!(
            "{}: per second / lower quartile without the layer",
            layer(Variant::PassedGet)
        ),
        bound: AtLeast(1.0),
        subjects: vec![
            (layer(Variant::PassedGet), Deadpool),
            (layer(Variant::PlainGet), Plain),
        ],
        // The layer must not make a larger difference than there is between rounds without it.
        figure: Box::new(|measured| {
            Some(measured[0].figures().ops_per_s? / lower_quartile(measured[1])?)
        }),
    };
    let locked = Goal {
        what: format!(
            "{}: µs of CPU beyond those of the lock alone",
            layer(Variant::LockedPut)
        ),
        bound: AtMost(10.0),
        subjects: vec![
            (layer(Variant::LockedPut), Deadpool),
            (layer(Variant::PlainPut), Plain),
            (layer(Variant::Bare), Deadpool),
        ],
        figure: Box::new(|measured| {
            let cpu = |index: usize| measured[index].figures().cpu_us();
            Some(cpu(0)? - cpu(1)? - cpu(2)?)
        }),
    };
    [passed, locked]
}

/// The lower quartile of the rounds' rates.
fn lower_quartile(measured: &Measured) -> Option<f64> {
    let mut rates: Vec<f64> = measured.rounds.iter().filter_map(PER_SECOND).collect();
    rates.sort_by(f64::total_cmp);
    rates.get(rates.len() / 4).copied()
}
