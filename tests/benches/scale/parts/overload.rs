//! More locks than the nodes can carry: a load that does not wait for answers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redsync::Redsync;
use redsync_tests::{
    Servers,
    bench::{nanos, percentile},
};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval, sleep},
};

use crate::{Outcome, machine::Cores, report::Row, setup::connect};

/// How long each kind of load lasts, in each round.
const TIME: Duration = Duration::from_secs(4);
const ROUNDS: usize = 3;

/// How long a lock is waited for.
const WAIT: Duration = Duration::from_secs(1);

/// How many tasks measure what the nodes can carry.
const TASKS: usize = 512;

/// More nodes than usual and fencing tokens make more work for the nodes than for the client,
/// because the nodes are to be overloaded.
const SLOW_NODES: usize = 5;

const TICK: Duration = Duration::from_millis(5);

pub(crate) async fn measure(times: usize, cores: &Cores) -> Outcome<Vec<Row>> {
    let servers = Servers::start(SLOW_NODES);
    cores.move_to_another()?;
    let redsync = connect(&servers)?;
    let mut best = vec![capacity(&redsync, TIME).await?];
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let last = best.last().copied().unwrap_or_default();
        rounds.push(Round::measure(&redsync, last * times as f64).await?);
        best.push(capacity(&redsync, TIME).await?);
    }
    // Each round is compared with what the nodes could carry just before and after, because other
    // programs may slow the machine down meanwhile.
    let goodput = |(round, best): (&Round, &[f64])| round.granted / f64::midpoint(best[0], best[1]);
    let goodput = median(rounds.iter().zip(best.windows(2)).map(goodput));
    let of = |figure: fn(&Round) -> f64| median(rounds.iter().map(figure));
    Ok(vec![
        Row::plain("best, locks per second", median(best)),
        Row::plain("offered, locks per second", of(|round| round.offered)),
        Row::at_least("granted per second / best", goodput, 0.8),
        Row::at_most("p99 of a call / its wait", of(|round| round.p99), 1.5),
        Row::at_most("recovered after, s", of(|round| round.recovered), 2.0),
    ])
}

/// What happened to a load that was too large.
struct Round {
    /// Locks per second.
    offered: f64,
    /// The same.
    granted: f64,
    /// The time of a call, in waits.
    p99: f64,
    /// In seconds.
    recovered: f64,
}

impl Round {
    /// Offers this many locks a second.
    async fn measure(redsync: &Redsync, rate: f64) -> Outcome<Self> {
        let granted = Arc::new(AtomicU64::new(0));
        let mut running = JoinSet::new();
        let mut took = Vec::new();
        let (start, mut offered) = (Instant::now(), 0);
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        while start.elapsed() < TIME {
            ticks.tick().await;
            let due = (start.elapsed().as_secs_f64() * rate) as u64;
            while offered < due {
                offered += 1;
                running.spawn(once(redsync.clone(), Arc::clone(&granted)));
            }
            while let Some(done) = running.try_join_next() {
                took.push(done?);
            }
        }
        let time = start.elapsed().as_secs_f64();
        let granted = granted.load(Ordering::Relaxed) as f64 / time;
        let over = Instant::now();
        while let Some(done) = running.join_next().await {
            took.push(done?);
        }
        while lock_time(redsync).await.is_none_or(|time| time > 20 * TICK) {
            sleep(TICK).await;
        }
        took.sort_unstable();
        let p99 = percentile(&took, 0.99).unwrap_or_default() / 1e6;
        Ok(Self {
            offered: offered as f64 / time,
            granted,
            p99: p99 / WAIT.as_secs_f64(),
            recovered: over.elapsed().as_secs_f64(),
        })
    }
}

fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<_> = figures.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or_default()
}

/// How many locks a second the nodes carry if each task waits for its answer.
async fn capacity(redsync: &Redsync, time: Duration) -> Outcome<f64> {
    let granted = Arc::new(AtomicU64::new(0));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (redsync, granted) = (redsync.clone(), Arc::clone(&granted));
        tasks.spawn(async move {
            while start.elapsed() < time {
                once(redsync.clone(), Arc::clone(&granted)).await;
            }
        });
    }
    while let Some(task) = tasks.join_next().await {
        task?;
    }
    Ok(granted.load(Ordering::Relaxed) as f64 / start.elapsed().as_secs_f64())
}

/// Locks and releases a new name. Returns how long that took, in nanoseconds.
async fn once(redsync: Redsync, granted: Arc<AtomicU64>) -> u64 {
    let begun = Instant::now();
    let name = format!("scale:{:016x}", fastrand::u64(..));
    if let Ok(guard) = redsync
        .mutex(name)
        .with_fencing(true)
        .lock_within(WAIT)
        .await
    {
        // Relaxed: nothing else is passed on.
        granted.fetch_add(1, Ordering::Relaxed);
        // A release that is not confirmed is not a failure of the lock.
        let _ = guard.release().await;
    }
    nanos(begun.elapsed())
}

/// How long one lock takes, if it can be acquired.
async fn lock_time(redsync: &Redsync) -> Option<Duration> {
    let begun = Instant::now();
    drop(redsync.mutex("after").try_lock().await.ok()?);
    Some(begun.elapsed())
}
