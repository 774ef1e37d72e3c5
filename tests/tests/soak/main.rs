//! Locks on real servers, with faults: several processes of several tasks each, on 3 and on 5 servers
//! behind proxies that break the network, with servers and clients that are killed, stopped and restarted.
//!
//! What the clients believed goes to the history checker. What they do under their locks goes to a ledger in
//! SQLite, which would show a lost update and checks fencing tokens.
//!
//! ```sh
//! cargo test -p redsync-tests --test soak                          # the short form
//! cargo test -p redsync-tests --test soak -- --minutes 30          # a soak
//! cargo test -p redsync-tests --test soak -- --seed 7 --nodes 5    # the same faults again
//! cargo test -p redsync-tests --test soak -- --plant unlocked      # breaks something, and has to find it
//! ```
//!
//! The short form also runs what is planted, so a run that finds nothing is known to be able to find
//! something. A seed repeats the faults and their times. What the tasks make of them depends on the
//! machine.

mod arguments;
mod client;
mod clients;
mod desk;
mod ledger;
mod nodes;
mod plant;
mod pulse;
mod run;
mod schedule;
mod tally;

use std::{
    process::ExitCode,
    thread,
    time::{Duration, Instant},
};

use arguments::{Arguments, Asked, HELP};
use plant::Plant;
use redsync_simulation::history::Wrong;
use redsync_tests::growth;
use run::{Goal, Seen, Setting, run};
use tokio::runtime;

type Error = Box<dyn std::error::Error + Send + Sync>;
type Outcome<T> = Result<T, Error>;

/// How long a node keeps a key: so long has a node to stay away that has lost its data.
const EXPIRY: Duration = Duration::from_secs(2);

/// Longer than all that has to happen at once, on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// The short form, for each number of nodes.
const SHORT: Goal = Goal::Counts {
    faults: 55,
    grants: 11_000,
};

/// Within this time, what is planted is found, also on a busy machine. On an idle one it takes seconds.
const PLANTED: Goal = Goal::Time(Duration::from_secs(300));

/// How long growth takes to be seen.
const GROWTH: Goal = Goal::Time(Duration::from_secs(60));

/// Up to here, every task has asked for something.
const A_FEW: Goal = Goal::Counts {
    faults: 0,
    grants: 200,
};

fn main() -> ExitCode {
    match start() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("soak: {error}");
            ExitCode::FAILURE
        }
    }
}

fn start() -> Outcome<()> {
    if let Some(order) = clients::order()? {
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        return runtime.block_on(client::work(order));
    }
    match Asked::read()? {
        Asked::Help => println!("{HELP}"),
        Asked::Nothing => {}
        Asked::Run(arguments) => soak(&arguments)?,
    }
    Ok(())
}

fn soak(arguments: &Arguments) -> Outcome<()> {
    let begin = Instant::now();
    let seed = arguments.seed.unwrap_or_else(|| fastrand::u64(..));
    let both = [3, 5];
    let nodes: Vec<usize> = match arguments.nodes {
        Some(nodes) => vec![nodes],
        None => both.to_vec(),
    };
    if let Some(plant) = arguments.plant {
        return find(nodes[0], seed, plant);
    }
    let goal = match arguments.minutes {
        Some(minutes) => Goal::Time(Duration::from_secs_f64(minutes * 60.0)),
        None => SHORT,
    };
    let (mut faults, mut grants) = (0, 0);
    for seen in run_all(&nodes, seed, goal)? {
        (faults, grants) = (faults + seen.faults, grants + seen.grants);
        println!("soak: {}", seen.judge()?);
    }
    if arguments.minutes.is_none() {
        for plant in Plant::SHORT {
            find(nodes[0], seed, plant)?;
        }
    }
    let took = begin.elapsed();
    println!("soak: {grants} grants, {faults} faults in {took:.0?}; nothing is wrong");
    Ok(())
}

/// Runs with each of these numbers of nodes, at the same time: most of a run is waiting.
fn run_all(nodes: &[usize], seed: u64, goal: Goal) -> Outcome<Vec<Seen>> {
    thread::scope(|scope| {
        let run = |nodes: &usize| {
            println!("soak: {nodes} nodes, --seed {seed}");
            let setting = Setting {
                nodes: *nodes,
                seed,
                goal,
                plant: None,
            };
            scope.spawn(move || run(setting))
        };
        let runs: Vec<_> = nodes.iter().map(run).collect();
        runs.into_iter()
            .map(|run| run.join().expect("no panic"))
            .collect()
    })
}

/// Runs with something broken on purpose, which has to be found.
fn find(nodes: usize, seed: u64, plant: Plant) -> Outcome<()> {
    let begin = Instant::now();
    let seen = run(Setting {
        nodes,
        seed,
        goal: match plant {
            Plant::Leak => GROWTH,
            Plant::Unreleased | Plant::Asleep => A_FEW,
            _ => PLANTED,
        },
        plant: Some(plant),
    })?;
    let took = begin.elapsed();
    for (place, sign) in signs(plant, &seen) {
        let Some(sign) = sign else {
            return Err(format!("{plant:?} is not seen in the {place}\n{}", seen.report).into());
        };
        println!("soak: planted {plant:?}: the {place} show within {took:.0?}: {sign}");
    }
    Ok(())
}

/// Where something that was planted has to be seen, and what is seen there.
fn signs(plant: Plant, seen: &Seen) -> Vec<(&'static str, Option<String>)> {
    let wrong = |is: &dyn Fn(&str) -> bool| seen.wrongs.iter().find(|wrong| is(wrong)).cloned();
    let clients = ("clients", wrong(&|_| true));
    let of_history = |is: &dyn Fn(&Wrong) -> bool| {
        let found = seen.wrong_in_history.iter().find(|wrong| is(wrong));
        ("records", found.map(ToString::to_string))
    };
    match plant {
        Plant::Unlocked | Plant::EarlyRestart => vec![clients, of_history(&|_| true)],
        // The ledger that accepts late writes is no fault of the locks.
        Plant::Unfenced => vec![clients],
        Plant::Unreleased => vec![(
            "servers",
            wrong(&|wrong| wrong.starts_with("keys are left")),
        )],
        Plant::Unkept | Plant::Asleep | Plant::Blocked => {
            vec![of_history(&|wrong| Some(wrong.rule) == plant.breaks())]
        }
        Plant::Leak => {
            let grown = growth::FIGURES.map(|figure| {
                let grown = wrong(&|wrong| wrong.ends_with(figure));
                ("samples", grown)
            });
            grown.to_vec()
        }
    }
}
