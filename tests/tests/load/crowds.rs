//! Very many guards that are dropped at once.

use std::{thread, time::Duration};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use redsync::{Guard, Redsync};
use redsync_tests::Servers;
use tokio::{runtime::Handle, time::timeout};

const LIMIT: Duration = Duration::from_secs(20);

/// More than may be unanswered on a connection that is silent.
const MANY: usize = 4_200;
const FEW: usize = 500;

/// Longer than a connection may be silent with that many unanswered commands.
const BLOCKED: Duration = Duration::from_millis(2_100);

async fn lock(redsync: &Redsync, count: usize) -> Vec<Guard> {
    let lock = async |name: usize| {
        let mutex = redsync.mutex(name.to_string());
        mutex.with_expiry(3 * LIMIT).lock_within(LIMIT).await
    };
    let locks = stream::iter(0..count).map(lock).buffer_unordered(64);
    locks.try_collect().await.unwrap()
}

#[tokio::test]
async fn guards_that_a_blocked_thread_drops_are_released_without_a_task_for_each() {
    let servers = Servers::start(3);
    let redsync = Redsync::connect(servers.urls()).unwrap();
    let mut guards = lock(&redsync, MANY + FEW).await;
    let rest = guards.split_off(MANY);
    redsync.drain().await;

    // From here on, this thread reads no reply: the connections look silent, and full.
    drop(guards);
    thread::sleep(BLOCKED);
    let before = Handle::current().metrics().num_alive_tasks();
    drop(rest);
    let tasks = Handle::current().metrics().num_alive_tasks() - before;
    assert!(tasks < 20, "{tasks} tasks for {FEW} guards");

    let drained = timeout(LIMIT, redsync.drain()).await;
    drained.expect("all guards are released");
    servers.assert_no_keys();
}
