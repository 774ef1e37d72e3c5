//! Waiters for as many names, which another process holds and then releases all at once.

use std::time::{Duration, Instant};

use redsync::{
    Redsync,
    node::redis::{Deadpool, RedisNode},
};
use redsync_tests::Servers;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    Outcome,
    machine::resident,
    report::Row,
    setup::{NODES, Other, PATIENCE, Span, connect, names},
};

/// How long the waiters are given to make their first attempts.
const SETTLE: Duration = Duration::from_secs(5);

/// How long nothing happens while the load is measured.
const QUIET: Duration = Duration::from_secs(10);

/// How long the grants may take before the benchmark stops.
const GRANTS: Duration = Duration::from_secs(60);

pub(crate) async fn measure(count: usize, can_wake: bool) -> Outcome<Vec<Row>> {
    let servers = Servers::start(NODES);
    let redsync = if can_wake {
        connect(&servers)?
    } else {
        without_wake_ups(&servers)?
    };
    let names: Vec<_> = names(count).collect();
    let mut other = Other::connect(&servers).await?;
    other.hold(&names).await?;
    drop(redsync.mutex("first").lock().await?);

    let before = resident()?;
    let mut waiters = JoinSet::new();
    for name in names.iter().cloned() {
        let redsync = redsync.clone();
        waiters.spawn(async move {
            let guard = redsync.mutex(name).lock_within(PATIENCE).await?;
            guard.release().await?;
            Outcome::Ok(())
        });
    }
    sleep(SETTLE).await;
    let load = Span::of(&servers, QUIET).await;
    let memory = resident()? - before;

    let released = Instant::now();
    other.release(&names).await?;
    let mut granted = 0;
    while let Ok(Some(waiter)) = timeout(
        GRANTS.saturating_sub(released.elapsed()),
        waiters.join_next(),
    )
    .await
    {
        waiter??;
        granted += 1;
    }
    let took = released.elapsed().as_secs_f64();
    let not_granted = Row::at_most("not granted", (count - granted) as f64, 0.0);
    let commands = load.commands / count as f64;
    Ok(if can_wake {
        vec![
            Row::at_most("CPU, %", load.cpu, 5.0),
            Row::memory_at_most(memory, count, 8.0),
            Row::at_most("commands per second, name and node", commands, 1.0),
            not_granted,
            Row::at_most("all granted after, s", took, 5.0),
        ]
    } else {
        vec![
            Row::plain("CPU, %", load.cpu),
            Row::memory(memory, count),
            Row::plain("commands per second, name and node", commands),
            not_granted,
            Row::plain("all granted after, s", took),
        ]
    })
}

/// The nodes, without the connections over which they notify.
fn without_wake_ups(servers: &Servers) -> Outcome<Redsync> {
    let node = |url: String| Ok(RedisNode::new(Deadpool::connect(&url)?));
    let nodes: Outcome<Vec<_>> = servers.urls().into_iter().map(node).collect();
    Ok(Redsync::new(nodes?)?)
}
