//! The command line.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::{
    goals, implementation::Implementation, results::Subject, setting::Workload, workloads::Pace,
};

pub(crate) const HELP: &str = "\
Compares redsync, with each of its drivers, with rslock and with two hand-written clients, on Redis
servers of its own, and prints a table, and the goals that redsync has set itself.

Usage: cargo bench --bench peers -- [OPTIONS]

  --quick                     everything in less than two minutes; figures vary more
  --goals                     only what the goals compare, in about three minutes; with --quick, in
                              less than one
  --rounds N                  how often everything is measured (5); figures are medians of the rounds
  --only WORKLOAD,...         of uncontended, parallel, contended, handoff, idle, healthy, hung,
                              killed, layer
  --implementations NAME,...  of redsync/deadpool, redsync/redis, redsync/fred, rslock, floor (in
                              tokio), floor-blocking (without a runtime)
  --json FILE                 also writes the table, as lines of JSON
  --chart FILE                also draws the table, as SVG
  --help                      prints this

Paths of files are relative to the root of the workspace.
The servers run `redis-server`, or the program in the environment variable REDIS_SERVER.";

#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) pace: Pace,
    pub(crate) rounds: usize,
    /// The subjects that the goals compare, if nothing else is to be measured.
    goals: Option<Vec<Subject>>,
    workloads: Vec<Workload>,
    implementations: Vec<Implementation>,
    pub(crate) json: Option<PathBuf>,
    pub(crate) chart: Option<PathBuf>,
}

impl Arguments {
    pub(crate) fn wants(&self, subject: Subject) -> bool {
        let (setting, implementation) = subject;
        let goals = self.goals.as_ref();
        self.workloads.contains(&setting.workload)
            && (implementation == Implementation::None
                || self.implementations.contains(&implementation))
            && goals.is_none_or(|goals| goals.contains(&subject))
    }
}

pub(crate) enum Asked {
    Help,
    /// Run as a client that another process has started with this order.
    Client(String),
    Benchmark(Arguments),
}

pub(crate) fn parse() -> Result<Asked, String> {
    let mut parsed = Arguments {
        pace: Pace::Full,
        rounds: 5,
        goals: None,
        workloads: Workload::ALL.into(),
        implementations: Implementation::ALL.into(),
        json: None,
        chart: None,
    };
    let mut arguments = env::args_os().skip(1);
    while let Some(argument) = arguments.next() {
        let name = argument.to_string_lossy();
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{name} needs a value"))
        };
        let text = |value: std::ffi::OsString| value.to_string_lossy().into_owned();
        match &*name {
            // Cargo adds this.
            "--bench" => {}
            "--help" | "-h" => return Ok(Asked::Help),
            crate::process::ARGUMENT => return Ok(Asked::Client(text(value()?))),
            "--quick" => parsed.pace = Pace::Quick,
            "--goals" => parsed.goals = Some(goals::subjects()),
            "--rounds" => {
                let rounds = text(value()?);
                parsed.rounds = match rounds.parse() {
                    Ok(rounds) if rounds > 0 => rounds,
                    _ => return Err(format!("--rounds takes a number above 0, not {rounds}")),
                };
            }
            "--only" => parsed.workloads = list(&text(value()?), &Workload::ALL, Workload::name)?,
            "--implementations" => {
                let (all, name) = (&Implementation::ALL, Implementation::name);
                parsed.implementations = list(&text(value()?), all, name)?;
            }
            "--chart" => parsed.chart = Some(root().join(value()?)),
            "--json" => parsed.json = Some(root().join(value()?)),
            _ => return Err(format!("there is no argument {name}")),
        }
    }
    Ok(Asked::Benchmark(parsed))
}

/// The root of the workspace, where people call cargo. Cargo starts this program elsewhere.
fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}

/// The values with these names, separated by commas.
fn list<T: Copy>(names: &str, all: &[T], name_of: fn(T) -> &'static str) -> Result<Vec<T>, String> {
    let find = |name: &str| {
        let found = all.iter().copied().find(|it| name_of(*it) == name.trim());
        found.ok_or_else(|| {
            let all: Vec<_> = all.iter().copied().map(name_of).collect();
            format!("there is no {name}; there are {}", all.join(", "))
        })
    };
    names.split(',').map(find).collect()
}
