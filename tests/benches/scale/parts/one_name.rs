//! Many waiters of one name that another process holds.

use std::time::Duration;

use redsync_tests::Servers;
use tokio::{task::JoinSet, time::sleep};

use crate::{
    Outcome,
    machine::resident,
    report::Row,
    setup::{NODES, Other, PATIENCE, Span, connect, names},
};

const SETTLE: Duration = Duration::from_secs(2);
const QUIET: Duration = Duration::from_secs(10);

pub(crate) async fn measure(count: usize) -> Outcome<Vec<Row>> {
    let servers = Servers::start(NODES);
    let redsync = connect(&servers)?;
    let names: Vec<_> = names(1).collect();
    let mut other = Other::connect(&servers).await?;
    other.hold(&names).await?;
    drop(redsync.mutex("first").lock().await?);

    let before = resident()?;
    let mut waiters = JoinSet::new();
    for _ in 0..count {
        let waiting = redsync.mutex(&*names[0]).lock_within(PATIENCE);
        waiters.spawn(async move { waiting.await.map(drop) });
    }
    sleep(SETTLE).await;
    let load = Span::of(&servers, QUIET).await;
    let memory = resident()? - before;
    waiters.shutdown().await;
    Ok(vec![
        Row::at_most("CPU, %", load.cpu, 1.0),
        Row::memory(memory, count),
        Row::plain("commands per second and node", load.commands),
    ])
}
