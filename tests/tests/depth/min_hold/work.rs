//! Work under a lock with a minimum hold, however it ends.

use std::{future::pending, panic::AssertUnwindSafe};

use futures_util::FutureExt as _;
use redsync::{Mutex, RunError};
use tokio::time::{Instant, sleep, timeout};

use super::{EXPIRY, MINIMUM, SECOND, job, left};
use crate::{faulty, memory};

/// Ends a `run` early.
async fn end(mutex: &Mutex, way: &str) {
    match way {
        "done" => mutex.run(async |_| sleep(SECOND).await).await.unwrap(),
        "dropped" => {
            let run = mutex.run(async |_| pending::<()>().await);
            timeout(SECOND, run).await.unwrap_err();
        }
        _ => {
            let run = mutex.run(async |_| {
                sleep(SECOND).await;
                panic!("the work is impossible");
            });
            let run: Result<Result<(), RunError>, _> = AssertUnwindSafe(run).catch_unwind().await;
            run.unwrap_err();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn run_leaves_the_keys_for_the_minimum_however_its_work_ends() {
    for way in ["done", "dropped", "panics"] {
        let (redsync, nodes) = memory();
        end(&job(&redsync), way).await;
        redsync.drain().await;
        assert_eq!(left(&nodes[0]).await, MINIMUM - SECOND, "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn run_that_takes_longer_than_the_minimum_leaves_nothing() {
    let (redsync, nodes) = memory();
    let start = Instant::now();
    let mutex = job(&redsync);
    mutex.run(async |_| sleep(2 * EXPIRY).await).await.unwrap();
    redsync.drain().await;
    assert_eq!(start.elapsed(), 2 * EXPIRY);
    assert!(left(&nodes[0]).await.is_zero());
}

#[tokio::test(start_paused = true)]
async fn run_that_never_got_the_lock_leaves_nothing() {
    let (redsync, nodes) = faulty();
    for node in &nodes[1..] {
        node.always(redsync_tests::faulty::Fault::unreachable());
    }
    let run = job(&redsync).with_tries(1).run(async |_| ()).await;
    assert!(matches!(run, Err(RunError::Lock(_))));
    redsync.drain().await;
    assert!(nodes[0].inner().is_empty());
}
