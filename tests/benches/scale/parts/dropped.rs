//! Very many waiters, and very many guards, that are dropped at once.

use std::{pin::Pin, time::Instant};

use futures_util::{
    future::poll_immediate,
    stream::{self, StreamExt, TryStreamExt},
};
use redsync::{Guard, Redsync};
use redsync_tests::Servers;

use crate::{
    Outcome,
    machine::resident,
    report::Row,
    setup::{NODES, PATIENCE, connect, names},
};

/// How many locks are acquired at the same time.
const TOGETHER: usize = 256;

/// Drops waiters of one name, the last one first.
pub(crate) async fn waiters(count: usize) -> Outcome<Vec<Row>> {
    // No server: the queue of the process is measured.
    let redsync = Redsync::in_memory(NODES);
    let mutex = redsync.mutex("scale");
    let guard = mutex.lock().await?;
    let before = resident()?;
    let mut waiting = Vec::new();
    for _ in 0..count {
        let mut waiter = Box::pin(mutex.lock_within(PATIENCE));
        if poll_immediate(Pin::new(&mut waiter)).await.is_some() {
            return Err("a waiter did not wait".into());
        }
        waiting.push(waiter);
    }
    let memory = resident()? - before;
    let begun = Instant::now();
    while let Some(last) = waiting.pop() {
        drop(last);
    }
    let took = begun.elapsed().as_secs_f64();
    guard.release().await?;
    Ok(vec![
        Row::memory(memory, count),
        Row::at_most("dropped in, s", took, 0.3),
    ])
}

/// Drops guards of different names.
pub(crate) async fn guards(count: usize) -> Outcome<Vec<Row>> {
    let servers = Servers::start(NODES);
    let redsync = connect(&servers)?;
    // What the nodes can do: releases whose answers are waited for.
    let guards = acquire(&redsync, count).await?;
    let begun = Instant::now();
    let releases = stream::iter(guards).map(Guard::release);
    // A release that is not confirmed in time continues, as that of a dropped guard.
    releases
        .buffer_unordered(TOGETHER)
        .for_each(async |_| {})
        .await;
    redsync.drain().await;
    let can_do = count as f64 / begun.elapsed().as_secs_f64();

    let guards = acquire(&redsync, count).await?;
    let held = resident()?;
    let begun = Instant::now();
    drop(guards);
    let dropped = resident()?;
    redsync.drain().await;
    let rate = count as f64 / begun.elapsed().as_secs_f64();
    let left = servers
        .iter()
        .map(|server| server.query::<u64>(&["DBSIZE"]));
    let left: u64 = left.sum();
    Ok(vec![
        Row::plain("memory while held, MB", held / 1e6),
        Row::plain("memory after the drop, MB", dropped / 1e6),
        Row::plain("drained, guards per second", rate),
        Row::at_least("the same / what the nodes can do", rate / can_do, 0.8),
        Row::at_most("memory after the drain, MB", resident()? / 1e6, 200.0),
        Row::at_most("keys left", left as f64, 0.0),
    ])
}

async fn acquire(redsync: &Redsync, count: usize) -> Outcome<Vec<Guard>> {
    let lock = async |name: String| {
        redsync
            .mutex(name)
            .with_expiry(PATIENCE)
            .lock_within(PATIENCE)
            .await
    };
    let locks = stream::iter(names(count))
        .map(lock)
        .buffer_unordered(TOGETHER);
    Ok(locks.try_collect().await?)
}
