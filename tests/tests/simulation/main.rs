//! Random runs of clients, nodes and a bad network on virtual time, and a check of what the clients
//! believed.
//!
//! `SEED=n` replays one run, and `SEEDS=n` makes n runs of each kind.

mod client;
mod history;
mod store;
mod weather;

use std::env;
use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use redsync::Redsync;
use redsync_tests::FaultyNode;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use client::Client;
use history::History;
use store::{Flaw, Store};
use weather::Weather;

const NAMES: [&str; 2] = ["order:1", "order:2"];
const CLIENTS: usize = 4;
const EXPIRY: Duration = ms(1000);
const NODE_TIMEOUT: Duration = ms(120);
/// How long background work may take: the limit of a release, and a tick of the clock.
const DRAIN: Duration = EXPIRY.saturating_add(ms(5001));
const RETRY: Range<Duration> = ms(50)..ms(200);

/// How long a run goes on before the network heals.
const SPAN: Duration = Duration::from_secs(300);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn between(rng: &mut Rng, from: u64, to: u64) -> Duration {
    Duration::from_micros(rng.u64(from * 1000..=to * 1000))
}

/// The figures of a run in which nothing was wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Figures {
    simulated: Duration,
    grants: usize,
    faults: u64,
}

/// One run. The error says what was wrong.
fn run(seed: u64, nodes: usize, losses: bool, flaw: Flaw) -> Result<Figures, String> {
    // The pauses between attempts come from the thread's own generator.
    fastrand::seed(seed);
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(simulate(Rng::with_seed(seed), nodes, losses, flaw))
}

async fn simulate(mut rng: Rng, nodes: usize, losses: bool, flaw: Flaw) -> Result<Figures, String> {
    let start = Instant::now();
    let nodes: Vec<_> = (0..nodes)
        .map(|_| FaultyNode::around(Store::new(&mut rng, flaw)))
        .collect();
    let weather = Weather::over(&nodes, losses, &mut rng);
    let history = Arc::new(Mutex::new(History::default()));

    let mut clients = JoinSet::new();
    let mut all = Vec::new();
    for _ in 0..CLIENTS {
        // Each client has its own, as in a process of its own.
        let redsync = Redsync::new(nodes.iter().cloned())
            .and_then(|redsync| {
                redsync.with_defaults(|mutex| {
                    mutex
                        .with_expiry(EXPIRY)
                        .with_node_timeout(NODE_TIMEOUT)
                        .with_retry_delay_range(RETRY)
                })
            })
            .expect("a configuration that works");
        let client = Client::new(redsync.clone(), rng.fork(), Arc::clone(&history));
        clients.spawn(client.live_until(start + SPAN));
        all.push(redsync);
    }
    while let Some(result) = clients.join_next().await {
        result.map_err(|error| format!("a client panicked: {error}"))?;
    }
    let faults = weather.clear_up();

    history.lock().expect("no panic").check()?;

    // A lock that a client has left behind expires, and then another client can lock.
    let limit = weather::LATEST + EXPIRY + RETRY.end;
    for name in NAMES {
        let guard = all[0].mutex(name).lock_within(limit).await;
        let guard = guard.map_err(|error| format!("it can no longer be locked: {error}"))?;
        drop(guard);
    }
    for redsync in &all {
        timeout(DRAIN, redsync.drain())
            .await
            .map_err(|_| "draining takes too long")?;
    }
    let left = history.lock().expect("no panic").left_to_expire();
    if losses {
        // A release may have been lost.
        sleep(weather::LATEST + EXPIRY).await;
    } else if let Some(until) = left {
        // Locks that are left behind are not released.
        sleep(until.saturating_duration_since(Instant::now()) + EXPIRY).await;
    }
    let left: usize = nodes.iter().map(|node| node.inner().len()).sum();
    if left > 0 {
        return Err(format!("{left} keys are left"));
    }
    let history = history.lock().expect("no panic");
    Ok(Figures {
        simulated: start.elapsed(),
        grants: history.grants(),
        faults,
    })
}

/// Runs all seeds, or the one in the environment.
fn explore(nodes: usize, losses: bool) {
    let number = |name| env::var(name).ok().and_then(|value| value.parse().ok());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(4),
    };
    let mut sum = Figures::default();
    for seed in seeds {
        match run(seed, nodes, losses, Flaw::None) {
            Ok(figures) => {
                sum.simulated += figures.simulated;
                sum.grants += figures.grants;
                sum.faults += figures.faults;
            }
            Err(wrong) => panic!("SEED={seed} of {nodes} nodes, losses: {losses}: {wrong}"),
        }
    }
    println!(
        "{nodes} nodes, losses: {losses}: {:.1} virtual hours, {} grants, {} faults",
        sum.simulated.as_secs_f64() / 3600.0,
        sum.grants,
        sum.faults
    );
    assert!(sum.grants > 100 && sum.faults > 100, "{sum:?}");
}

#[test]
fn three_nodes_with_lost_messages_and_outages_keep_the_lock_exclusive() {
    explore(3, true);
}

#[test]
fn three_nodes_that_are_late_keep_the_lock_exclusive() {
    explore(3, false);
}

#[test]
fn five_nodes_with_lost_messages_and_outages_keep_the_lock_exclusive() {
    explore(5, true);
}

#[test]
fn five_nodes_that_are_late_keep_the_lock_exclusive() {
    explore(5, false);
}

#[test]
fn a_seed_replays() {
    let figures = || run(1, 3, true, Flaw::None).expect("a run without a flaw");
    assert_eq!(figures(), figures());
}

/// Asserts that the check finds a flaw.
fn assert_found(flaw: Flaw) {
    let found = (0..50).find_map(|seed| {
        let wrong = run(seed, 3, true, flaw).err()?;
        Some((seed, wrong))
    });
    let Some((seed, wrong)) = found else {
        panic!("{flaw:?} was not found")
    };
    println!("{flaw:?}: SEED={seed} found that {wrong}");
    assert!(wrong.contains("two held"), "{wrong}");
}

#[test]
fn nodes_that_grant_everything_are_found() {
    assert_found(Flaw::GrantsEverything);
}

#[test]
fn nodes_that_restart_without_their_keys_are_found() {
    assert_found(Flaw::LosesKeys);
}

#[test]
fn clocks_that_run_too_fast_are_found() {
    assert_found(Flaw::FastClock);
}

#[test]
fn nodes_that_release_for_anyone_are_found() {
    assert_found(Flaw::ReleasesForAnybody);
}
