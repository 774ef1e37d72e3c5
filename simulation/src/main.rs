//! Simulates hours of clients, nodes and a bad network on virtual time, prints figures, and fails if
//! a rule did not hold or too little has happened.
//!
//! `--hours N` simulates as many hours, 150 by default, with one run after the other on each of
//! `--threads N`, two by default. `SEED=n` replays the run that was printed with that seed, and
//! `HISTORY=file` writes its history into a file. `--flaws` plants each flaw instead, and says
//! which seed finds it.

mod arguments;

use std::{
    env, fs,
    io::Write,
    process::ExitCode,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use arguments::{Asked, HELP};
use redsync_simulation::{Flaw, Outcome, Setting, history::Figures, run, shortages};

/// How long a run lasts.
const SPAN: Duration = Duration::from_secs(1800);

fn main() -> ExitCode {
    let is_right = match Asked::read() {
        Ok(Asked::Explore { hours, threads }) => explore(hours, threads),
        Ok(Asked::FindFlaws) => find_flaws(),
        Ok(Asked::Replay { seed }) => replay(seed),
        Ok(Asked::Help) => {
            println!("{HELP}");
            true
        }
        Err(error) => {
            eprintln!("simulation: {error}");
            false
        }
    };
    if is_right {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn print_wrongs(seed: u64, outcome: &Outcome) {
    for wrong in outcome.wrongs.iter().take(3) {
        println!("SEED={seed} of {:?}: {wrong}", Setting::of(seed, SPAN));
    }
}

fn replay(seed: u64) -> bool {
    let outcome = run(seed, &Setting::of(seed, SPAN));
    println!("{:#?}", outcome.figures);
    print_wrongs(seed, &outcome);
    if let Some(path) = env::var_os("HISTORY") {
        let mut file = fs::File::create(path).expect("a file to write to");
        for event in &outcome.history {
            let line = serde_json::to_string(event).expect("an event can be written");
            writeln!(file, "{line}").expect("a file that can be written to");
        }
    }
    outcome.wrongs.is_empty()
}

fn explore(hours: u64, threads: u64) -> bool {
    let begin = Instant::now();
    let seeds = (hours * 3600).div_ceil(SPAN.as_secs());
    let next = AtomicU64::new(0);
    let (sum, failed) = (Mutex::new(Figures::default()), AtomicU64::new(0));
    let work = || {
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed >= seeds {
                break;
            }
            let outcome = run(seed, &Setting::of(seed, SPAN));
            print_wrongs(seed, &outcome);
            failed.fetch_add(u64::from(!outcome.wrongs.is_empty()), Ordering::Relaxed);
            let mut sum = sum.lock().expect("no panic");
            *sum = sum.with(outcome.figures);
        }
    };
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    let (sum, failed) = (sum.into_inner().expect("no panic"), failed.into_inner());
    println!(
        "{:.1} simulated hours in {:.0} s: {} calls, {} grants ({} of locks that were handed over), {} lost \
         guards, {} faults; longest wait {:.1?}, longest time for which a waiter could have been served \
         {:.2?}; {failed} of {seeds} runs failed",
        sum.span.as_secs_f64() / 3600.0,
        begin.elapsed().as_secs_f64(),
        sum.calls,
        sum.grants,
        sum.hand_overs,
        sum.lost,
        sum.faults,
        sum.longest_wait,
        sum.longest_idle,
    );
    let shortages = shortages(&sum, SPAN * seeds as u32);
    for shortage in &shortages {
        println!("{shortage}");
    }
    failed == 0 && shortages.is_empty()
}

fn find_flaws() -> bool {
    let mut all_found = true;
    for flaw in Flaw::ALL {
        let begin = Instant::now();
        let found = (0..Flaw::MOST_RUNS).find_map(|seed| {
            let setting = Setting::of(seed, SPAN / 3).with(flaw);
            let wrongs = run(seed, &setting).wrongs;
            let others = wrongs
                .iter()
                .filter(|wrong| wrong.rule != flaw.breaks())
                .count();
            let wrong = wrongs
                .into_iter()
                .find(|wrong| wrong.rule == flaw.breaks())?;
            Some((seed, others, wrong))
        });
        let took = begin.elapsed();
        all_found &= found.is_some();
        match found {
            Some((seed, others, wrong)) => {
                println!("{flaw:?}: seed {seed} in {took:.1?} ({others} of other rules): {wrong}");
            }
            None => println!("{flaw:?}: not found in {took:.1?}"),
        }
    }
    all_found
}
