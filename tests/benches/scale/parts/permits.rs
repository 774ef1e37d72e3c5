//! Many waiters of one semaphore, whose permits another process holds and then releases all at
//! once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use redsync_tests::Servers;
use tokio::{
    task::{JoinSet, yield_now},
    time::{sleep, timeout},
};

use crate::{
    Outcome,
    machine::resident,
    report::Row,
    setup::{NODES, Other, PATIENCE, Span, connect},
};

const PERMITS: usize = 3;

/// How long the waiters are given to make their first attempts.
const SETTLE: Duration = Duration::from_secs(5);

/// How long nothing happens while the load is measured.
const QUIET: Duration = Duration::from_secs(10);

/// How long the grants may take before the benchmark stops.
const GRANTS: Duration = Duration::from_secs(60);

/// How many hold a permit, now and at most.
#[derive(Default)]
struct Holders {
    now: AtomicUsize,
    most: AtomicUsize,
}

pub(crate) async fn measure(count: usize) -> Outcome<Vec<Row>> {
    let servers = Servers::start(NODES);
    let redsync = connect(&servers)?;
    let semaphore = redsync.semaphore("scale:semaphore", PERMITS);
    let permits: Vec<_> = semaphore.keys().collect();
    let mut other = Other::connect(&servers).await?;
    other.hold(&permits).await?;
    drop(redsync.mutex("first").lock().await?);

    let before = resident()?;
    let holders = Arc::<Holders>::default();
    let mut waiters = JoinSet::new();
    for _ in 0..count {
        let waiting = semaphore.lock_within(PATIENCE);
        let holders = Arc::clone(&holders);
        waiters.spawn(async move {
            let guard = waiting.await?;
            let now = 1 + holders.now.fetch_add(1, Relaxed);
            holders.most.fetch_max(now, Relaxed);
            yield_now().await;
            holders.now.fetch_sub(1, Relaxed);
            guard.release().await?;
            Outcome::Ok(())
        });
    }
    sleep(SETTLE).await;
    let load = Span::of(&servers, QUIET).await;
    let memory = resident()? - before;

    let (released, span) = (Instant::now(), Span::begin(&servers));
    other.release(&permits).await?;
    let mut granted = 0;
    let left = || GRANTS.saturating_sub(released.elapsed());
    while let Ok(Some(waiter)) = timeout(left(), waiters.join_next()).await {
        waiter??;
        granted += 1;
    }
    let took = released.elapsed().as_secs_f64();
    let grants = span.end(&servers);
    Ok(vec![
        Row::at_most("CPU, %", load.cpu, 1.0),
        Row::memory_at_most(memory, count, 8.0),
        Row::plain("commands per second and node", load.commands),
        Row::at_most("not granted", (count - granted) as f64, 0.0),
        Row::at_most("all granted after, s", took, 5.0),
        Row::plain(
            "commands per grant and node",
            grants.commands * took / count as f64,
        ),
        Row::at_most(
            "holders at once",
            holders.most.load(Relaxed) as f64,
            PERMITS as f64,
        ),
    ])
}
