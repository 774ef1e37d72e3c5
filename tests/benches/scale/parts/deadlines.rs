//! Waiters for as many names, all with the same deadline.

use std::time::Duration;

use redsync::LockError;
use redsync_tests::{
    Servers,
    bench::{nanos, percentile},
};
use tokio::{task::JoinSet, time::Instant};

use crate::{
    Outcome,
    report::Row,
    setup::{NODES, Other, connect, names},
};

/// How long they wait.
const WAIT: Duration = Duration::from_secs(10);

pub(crate) async fn measure(count: usize) -> Outcome<Vec<Row>> {
    let servers = Servers::start(NODES);
    let redsync = connect(&servers)?;
    let names: Vec<_> = names(count).collect();
    let mut other = Other::connect(&servers).await?;
    other.hold(&names).await?;
    drop(redsync.mutex("first").lock().await?);

    let deadline = Instant::now() + WAIT;
    let mut waiters = JoinSet::new();
    for name in names {
        let waiting = redsync.mutex(name).lock_until(deadline);
        waiters.spawn(async move {
            let result = waiting.await.map(drop);
            let late = Instant::now().saturating_duration_since(deadline);
            (matches!(result, Err(LockError::TimedOut(_))), nanos(late))
        });
    }
    let (mut others, mut late) = (0, Vec::new());
    while let Some(waiter) = waiters.join_next().await {
        let (has_timed_out, by) = waiter?;
        others += usize::from(!has_timed_out);
        late.push(by);
    }
    late.sort_unstable();
    let late = |part| percentile(&late, part).unwrap_or_default() / 1e3;
    Ok(vec![
        Row::at_most("not timed out, but another error", others as f64, 0.0),
        Row::plain("late, p50, ms", late(0.5)),
        Row::at_most("late, most, ms", late(1.0), 150.0),
    ])
}
