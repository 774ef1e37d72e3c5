//! Simulations on virtual time, in a short form, and the mistakes that they have to find.
//!
//! `SEED=n` replays one run, and `SEEDS=n` makes n runs of each kind. The program `simulation` of this package
//! makes many more, and replays longer runs.

mod flaws;
mod program;

use std::{env, time::Duration};

use redsync_simulation::{Outcome, Setting, history::Figures, run};

const SPAN: Duration = Duration::from_secs(300);

/// How many kinds of runs there are.
const KINDS: u64 = 4;

#[track_caller]
fn assert_right(seed: u64, outcome: &Outcome) {
    let setting = Setting::of(seed, SPAN);
    assert_eq!(outcome.wrongs, [], "SEED={seed} of {setting:?}");
}

/// Runs all seeds of a kind, or the one in the environment.
fn explore(kind: u64) {
    let number = |name| {
        env::var(name)
            .ok()
            .and_then(|value| value.parse::<u64>().ok())
    };
    let seeds: Vec<u64> = match number("SEED") {
        Some(seed) if seed % KINDS == kind => vec![seed],
        Some(_) => return,
        None => (0..number("SEEDS").unwrap_or(2))
            .map(|run| run * KINDS + kind)
            .collect(),
    };
    let mut sum = Figures::default();
    for seed in seeds {
        let outcome = run(seed, &Setting::of(seed, SPAN));
        assert_right(seed, &outcome);
        sum = sum.with(outcome.figures);
    }
    println!("{sum:?}");
    assert!(
        sum.grants > 500 && sum.hand_overs > 20 && sum.faults > 100 && sum.lost > 5,
        "{sum:?}"
    );
}

#[test]
fn with_three_nodes_and_wake_ups_every_rule_holds() {
    explore(0);
}

#[test]
fn with_five_nodes_and_wake_ups_every_rule_holds() {
    explore(1);
}

#[test]
fn without_wake_ups_every_rule_holds() {
    explore(2);
}

#[test]
fn if_wake_ups_get_lost_every_rule_holds() {
    explore(3);
}

#[test]
fn a_seed_replays() {
    for seed in 0..KINDS {
        let setting = Setting::of(seed, SPAN / 3);
        let (one, other) = (run(seed, &setting), run(seed, &setting));
        assert!(one.history.len() > 1000, "{}", one.history.len());
        assert_eq!(one.figures, other.figures);
        let differ = one
            .history
            .iter()
            .zip(&other.history)
            .find(|(one, other)| one != other);
        assert_eq!(differ, None);
    }
}

#[test]
fn another_seed_is_another_run() {
    let setting = Setting::of(0, SPAN / 3);
    assert_ne!(run(0, &setting).history, run(1, &setting).history);
}
