//! Several processes that share a semaphore, on virtual time: nodes that are late, lose messages and go
//! away, and holders that leave in every way.
//!
//! `SEED=n` replays one run. `SEEDS=n` makes that many.

use std::{
    env,
    sync::{Arc, Mutex},
};

use fastrand::Rng;
use redsync::{Guard, Redsync};
use redsync_tests::faulty::Fault;
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep, timeout},
};

use crate::{
    ms,
    watched::Watched,
    weather::{between, weather},
};

const NAME: &str = "export";
const PROCESSES: usize = 3;
const TASKS: usize = 4;
const EXPIRY: Duration = ms(1000);
const SPAN: Duration = Duration::from_secs(30);

/// That a task held a permit from one instant up to another.
#[derive(Clone, Debug)]
struct Belief {
    from: Instant,
    to: Instant,
}

/// The most that held a permit at the same time.
fn most(beliefs: &[Belief]) -> usize {
    let mut changes: Vec<_> = (beliefs.iter())
        .flat_map(|belief| [(belief.from, 1), (belief.to, -1)])
        .collect();
    // At the same instant, those that leave come first.
    changes.sort();
    let counts = changes.into_iter().scan(0, |count, (_, change)| {
        *count += change;
        Some(*count)
    });
    counts.max().unwrap_or(0) as usize
}

struct Task {
    redsync: Redsync,
    permits: usize,
    rng: Rng,
    beliefs: Arc<Mutex<Vec<Belief>>>,
}

impl Task {
    async fn live_until(mut self, end: Instant) {
        while Instant::now() < end {
            if let Some(guard) = self.lock().await {
                self.hold(guard).await;
            }
        }
    }

    async fn lock(&mut self) -> Option<Guard> {
        let rng = &mut self.rng;
        let mutex = self.redsync.semaphore(NAME, self.permits);
        let lock = match rng.u8(..8) {
            0 => mutex.try_lock(),
            1 => mutex.with_tries(5).lock(),
            _ => mutex.lock_within(between(rng, 0, 3000)),
        };
        if rng.u8(..6) == 0 {
            timeout(between(rng, 0, 100), lock).await.ok()?.ok()
        } else {
            lock.await.ok()
        }
    }

    async fn hold(&mut self, mut guard: Guard) {
        let from = Instant::now();
        let rng = &mut self.rng;
        let longest = if rng.u8(..10) == 0 { 1500 } else { 20 };
        if rng.u8(..8) == 0 {
            guard.keep_alive();
        }
        sleep(between(rng, 0, longest)).await;
        let to = guard.until().min(Instant::now());
        self.beliefs.lock().unwrap().push(Belief { from, to });
        match self.rng.u8(..8) {
            0 => drop(guard.release()),
            1..5 => drop(guard),
            5 => drop(guard.into_parts()),
            _ => drop(guard.release().await),
        }
    }
}

/// Returns what was believed, by processes with these numbers of permits.
async fn simulate(mut rng: Rng, permits: [usize; PROCESSES]) -> Vec<Belief> {
    let start = Instant::now();
    let nodes: Vec<_> = (0..3).map(|_| Watched::new()).collect();
    let mut weathers = JoinSet::new();
    weathers.spawn(weather(
        nodes[0].clone(),
        rng.fork(),
        Arc::default(),
        EXPIRY,
    ));
    let beliefs = Arc::default();
    let mut tasks = JoinSet::new();
    let mut all = Vec::new();
    for permits in permits {
        let redsync = Redsync::new(nodes.clone()).unwrap();
        let redsync = redsync
            .with_defaults(|mutex| mutex.with_expiry(EXPIRY).with_node_timeout(ms(120)))
            .unwrap();
        for _ in 0..TASKS {
            let task = Task {
                redsync: redsync.clone(),
                permits,
                rng: rng.fork(),
                beliefs: Arc::clone(&beliefs),
            };
            tasks.spawn(task.live_until(start + SPAN));
        }
        all.push((redsync, permits));
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
    weathers.shutdown().await;
    nodes[0].node.always(Fault::none());
    for (redsync, permits) in all {
        let mutex = redsync.semaphore(NAME, permits);
        let mut guards = Vec::new();
        for _ in 0..permits {
            let guard = mutex.lock_within(3 * EXPIRY).await;
            guards.push(guard.expect("all permits can be had again"));
        }
        assert!(!crate::waiting(&mutex, 1).await, "somebody is left");
        drop(guards);
        redsync.drain().await;
    }
    beliefs.lock().unwrap().clone()
}

fn explore(permits: [usize; PROCESSES]) {
    let number = |name| env::var(name).ok().and_then(|value| value.parse().ok());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(4),
    };
    let limit = *permits.iter().max().unwrap();
    let mut grants = 0;
    for seed in seeds {
        fastrand::seed(seed);
        let beliefs = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap()
            .block_on(simulate(Rng::with_seed(seed), permits));
        grants += beliefs.len();
        assert_eq!(most(&beliefs), limit, "SEED={seed}: how many held a permit");
    }
    println!("{permits:?}: {grants} grants");
    assert!(grants > 1000, "{grants}");
}

#[test]
fn no_more_hold_a_permit_than_there_are() {
    explore([3, 3, 3]);
}

#[test]
fn while_processes_have_different_numbers_of_permits_the_largest_is_the_limit() {
    explore([1, 3, 2]);
}
