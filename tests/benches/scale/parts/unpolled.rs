//! A waiter that is handed the lock, and whose task does not get to run.

use std::time::{Duration, Instant};

use futures_util::future::poll_immediate;
use redsync_tests::Servers;
use tokio::time::timeout;

use crate::{
    Outcome,
    report::Row,
    setup::{NODES, PATIENCE, connect},
};

/// Longer than the expiry, at which the lock is free in any case.
const LIMIT: Duration = Duration::from_secs(20);

pub(crate) async fn measure() -> Outcome<Vec<Row>> {
    let servers = Servers::start(NODES);
    let redsync = connect(&servers)?;
    let mutex = redsync.mutex("scale");
    let guard = mutex.lock().await?;
    let mut unpolled = Box::pin(mutex.lock_within(PATIENCE));
    if poll_immediate(&mut unpolled).await.is_some() {
        return Err("a waiter did not wait".into());
    }
    let next = tokio::spawn(mutex.lock_within(PATIENCE));
    tokio::task::yield_now().await;
    guard.release().await?;
    let begun = Instant::now();
    let granted = timeout(LIMIT, next).await;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    if let Ok(granted) = granted {
        granted??.release().await?;
    }
    drop(unpolled);
    Ok(vec![Row::at_most(
        "the next one has the lock after, ms",
        took,
        1_000.0,
    )])
}
