//! Tasks that share names, while all nodes are killed and started again.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use redsync_tests::Servers;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    Outcome,
    report::Row,
    setup::{NODES, connect, names},
};

const NAMES: usize = 100;
const BEFORE: Duration = Duration::from_secs(3);
const LIMIT: Duration = Duration::from_secs(30);

/// How long a task pauses after a failure, as a service does between two requests.
const PAUSE: Duration = Duration::from_millis(100);

pub(crate) async fn measure(count: usize) -> Outcome<Vec<Row>> {
    let servers = Servers::start(NODES);
    let redsync = connect(&servers)?;
    let names: Vec<_> = names(NAMES).collect();
    let granted = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for task in 0..count {
        let mutex = redsync.mutex(&*names[task % NAMES]);
        let granted = Arc::clone(&granted);
        tasks.spawn(async move {
            loop {
                match mutex.lock_within(Duration::from_secs(2)).await {
                    Ok(guard) => {
                        // Relaxed: nothing else is passed on.
                        granted.fetch_add(1, Ordering::Relaxed);
                        let _ = guard.release().await;
                    }
                    Err(_) => sleep(PAUSE).await,
                }
            }
        });
    }
    sleep(BEFORE).await;
    let before = granted.load(Ordering::Relaxed) as f64 / BEFORE.as_secs_f64();
    for server in servers.iter() {
        server.kill();
    }
    for server in servers.iter() {
        server.restart_empty();
    }
    let (back, mut seen) = (Instant::now(), granted.load(Ordering::Relaxed));
    let recovered = loop {
        let begun = Instant::now();
        sleep(PAUSE).await;
        let now = granted.load(Ordering::Relaxed);
        let rate = (now - seen) as f64 / begun.elapsed().as_secs_f64();
        seen = now;
        if rate > before / 2.0 || back.elapsed() > LIMIT {
            break back.elapsed().as_secs_f64();
        }
    };
    tasks.shutdown().await;
    Ok(vec![
        Row::plain("sections per second before", before),
        Row::at_most("half of that again after, s", recovered, 1.0),
    ])
}
