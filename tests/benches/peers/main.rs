//! redsync compared with its peers, and with what is possible: `cargo bench --bench peers --
//! --help`.
//!
//! Everything is measured in rounds, and within a round one implementation after the other, so that
//! a machine that is slower for a while is slower for all. Figures are medians over the rounds.
//! Compare their ratios between machines, not the figures themselves.

mod arguments;
mod chart;
mod figures;
mod floors;
mod goals;
mod implementation;
mod process;
mod results;
mod runtime;
mod setting;
mod table;
mod times;
mod workloads;

use std::{
    fs::File,
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use redsync_tests::{RedisServer, Servers, bench::find_redis};
use tokio::signal::{
    ctrl_c,
    unix::{SignalKind, signal},
};

use crate::{
    arguments::{Arguments, Asked},
    implementation::Implementation,
    results::Results,
    setting::{Setting, Threads},
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
        Asked::Client(order) => process::serve(&order),
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
    // Before the measurements, because they take minutes and would be lost.
    let json = arguments.json.as_ref().map(File::create).transpose()?;

    let begun = Instant::now();
    let results = measure(arguments)?;
    eprintln!("measured in {:.0} s", begun.elapsed().as_secs_f64());
    println!("{}\n\n{}", table::of(&results), goals::of(&results));
    if let Some(file) = json {
        results.write_json(file)?;
    }
    if let Some(path) = &arguments.chart {
        chart::draw(&results, path)?;
    }
    match results.failures() {
        0 => Ok(()),
        failures => Err(format!("{failures} measurements failed, see above").into()),
    }
}

fn measure(arguments: &Arguments) -> Outcome<Results> {
    static INTERRUPTED: AtomicBool = AtomicBool::new(false);
    on_interrupt(|| INTERRUPTED.store(true, Ordering::Relaxed));

    let wanted = |setting: &Setting| -> Vec<Implementation> {
        let all = setting.implementations().iter().copied();
        all.filter(|it| arguments.wants((*setting, *it))).collect()
    };
    let mut settings: Vec<_> = Setting::all()
        .into_iter()
        .map(|setting| (setting, wanted(&setting)))
        .collect();
    settings.retain(|(_, implementations)| !implementations.is_empty());
    let most = settings.iter().map(|(it, _)| it.nodes).max();
    let servers = Servers::start(most.unwrap_or_default());
    let mut results = Results::default();
    for round in 1..=arguments.rounds {
        for (setting, implementations) in &settings {
            eprintln!("round {round} of {}: {setting}", arguments.rounds);
            let time = arguments.pace.time(setting);
            for &implementation in implementations {
                let figures = workloads::measure(&servers, setting, implementation, time);
                if let Err(error) = &figures {
                    eprintln!("{} failed: {error}", implementation.name());
                }
                results.add(setting, implementation, figures.ok());
                if INTERRUPTED.load(Ordering::Relaxed) {
                    return Err("interrupted".into());
                }
            }
        }
    }
    Ok(results)
}

/// Calls a function when the process is asked to end. By default it would end at once, and leave
/// servers behind.
fn on_interrupt(notify: impl FnOnce() + Send + 'static) {
    std::thread::spawn(|| {
        runtime::run(Threads::Single, async {
            let mut terminated = signal(SignalKind::terminate()).expect("a signal handler");
            tokio::select! {
                _ = ctrl_c() => {}
                _ = terminated.recv() => {}
            }
            notify();
        });
    });
}

fn addresses(servers: &[RedisServer]) -> Vec<String> {
    servers.iter().map(RedisServer::address).collect()
}
