//! What a process and its nodes carry: thousands of guards, of waiters and of requests at once:
//! `cargo bench --bench scale -- --help`.
//!
//! Each part runs in a process of its own, so that memory and CPU time are those of the part. The
//! process and the servers that it starts share one core: then figures do not depend on how many
//! the machine has, and the load of the servers counts. Only the part about overload gives the
//! process a core of its own, so that it can ask for more than the servers can do.

mod arguments;
mod chart;
mod machine;
mod parts;
mod report;
mod setup;

use std::{process::ExitCode, time::Instant};

use redsync_tests::bench::find_redis;

use crate::{
    arguments::{Arguments, Asked},
    machine::Cores,
    parts::Run,
    report::Report,
};

type Error = Box<dyn std::error::Error + Send + Sync>;
type Outcome<T> = Result<T, Error>;

fn main() -> ExitCode {
    let asked = match arguments::parse() {
        Ok(asked) => asked,
        Err(mistake) => {
            eprintln!("error: {mistake} (try --help)");
            return ExitCode::from(2);
        }
    };
    let done = match asked {
        Asked::Help => {
            println!("{}", arguments::HELP);
            Ok(())
        }
        Asked::Part(run) => run.here(),
        Asked::Benchmark(arguments) => benchmark(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn benchmark(arguments: &Arguments) -> Outcome<()> {
    find_redis()?;
    let begun = Instant::now();
    let mut report = Report::default();
    for run in arguments.runs() {
        eprintln!("{run}");
        match run.in_a_process() {
            Ok(rows) => report.add(run, rows),
            Err(error) => report.fail(run, &error),
        }
    }
    eprintln!("measured in {:.0} s", begun.elapsed().as_secs_f64());
    println!("{}", report.table());
    if let Some(path) = &arguments.chart {
        chart::draw(&report, path)?;
    }
    match report.failures() {
        0 => Ok(()),
        failures => Err(format!("{failures} parts failed, see above").into()),
    }
}

impl Run {
    /// Runs the part in this process, and prints its rows for the process that started this one.
    fn here(self) -> Outcome<()> {
        let cores = Cores::stay_on_one()?;
        machine::set_limits()?;
        let rows = setup::run(self.part.measure(self.size, &cores))?;
        println!("{}", serde_json::to_string(&rows)?);
        Ok(())
    }
}
