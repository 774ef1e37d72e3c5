use std::{
    cell::Cell,
    future::pending,
    panic::AssertUnwindSafe,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt as _, poll};
use redsync::{ExtendError, LockError, Redsync, Released, RunError, Validity};
use redsync_tests::{
    Servers,
    faulty::{Fault, Operation},
};
use tokio::{
    runtime::Builder,
    time::{Instant, sleep, timeout},
};

use super::{MILLI, faulty, memory, patient};

#[tokio::test(start_paused = true)]
async fn run_extends_while_the_work_is_done_and_then_releases() {
    let (redsync, nodes) = memory();
    let mutex = redsync.mutex("a").with_expiry(300 * MILLI);
    let output = mutex
        .run(async |held| {
            sleep(Duration::from_secs(10)).await;
            assert!(!held.is_lost());
            7
        })
        .await;
    assert_eq!(output.unwrap(), 7);
    redsync.drain().await;
    assert!(nodes.iter().all(redsync::node::MemoryNode::is_empty));
}

#[tokio::test(start_paused = true)]
async fn run_drops_the_work_when_the_lock_is_lost() {
    let (redsync, nodes) = faulty();
    let ended = Arc::new(AtomicBool::new(false));
    let started = Instant::now();
    let mutex = redsync.mutex("a").with_expiry(900 * MILLI);
    let result = mutex
        .run(async |_| {
            for node in &nodes[..2] {
                node.always(Fault::unreachable());
            }
            sleep(Duration::from_secs(10)).await;
            ended.store(true, Ordering::Relaxed);
        })
        .await;
    assert!(matches!(result, Err(RunError::Lost)));
    assert!(started.elapsed() <= 900 * MILLI);
    assert!(!ended.load(Ordering::Relaxed));
}

#[tokio::test(start_paused = true)]
async fn run_does_not_begin_without_the_lock() {
    let (redsync, _) = memory();
    let _guard = redsync.mutex("a").lock().await.unwrap();
    let mutex = redsync.mutex("a").with_tries(1);
    let result = mutex.run(async |_| panic!("no lock")).await;
    assert!(matches!(result, Err(RunError::Lock(LockError::Taken(_)))));
}

/// Records on drop whether the lock was still held then.
struct Work<'a>(Validity, &'a Cell<Option<bool>>);

impl Drop for Work<'_> {
    fn drop(&mut self) {
        self.1.set(Some(!self.0.is_lost()));
    }
}

#[tokio::test(start_paused = true)]
async fn run_that_is_dropped_ends_the_work_before_the_lock() {
    let (redsync, nodes) = memory();
    let mutex = redsync.mutex("a");
    let locked_at_the_end = Cell::new(None);
    {
        let mut run = pin!(mutex.run(async |held| {
            let _work = Work(held, &locked_at_the_end);
            pending::<()>().await;
        }));
        assert!(poll!(&mut run).is_pending());
        assert!(nodes.iter().all(|node| node.len() == 1));
    }
    assert_eq!(locked_at_the_end.get(), Some(true));
    redsync.drain().await;
    assert!(nodes.iter().all(redsync::node::MemoryNode::is_empty));
}

#[tokio::test(start_paused = true)]
async fn run_whose_work_panics_ends_the_work_before_the_lock() {
    let (redsync, nodes) = memory();
    let mutex = redsync.mutex("a");
    let locked_at_the_end = Cell::new(None);
    let run = mutex.run(async |held| {
        let _work = Work(held, &locked_at_the_end);
        panic!("the work is impossible");
    });
    let result: Result<Result<(), _>, _> = AssertUnwindSafe(run).catch_unwind().await;
    assert!(result.is_err());
    assert_eq!(locked_at_the_end.get(), Some(true));
    redsync.drain().await;
    assert!(nodes.iter().all(redsync::node::MemoryNode::is_empty));
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_lost_when_its_maximum_hold_is_over() {
    let (redsync, _) = memory();
    let started = Instant::now();
    let mutex = redsync
        .mutex("a")
        .with_expiry(300 * MILLI)
        .with_max_hold(1000 * MILLI);
    let mut guard = mutex.lock().await.unwrap();
    guard.keep_alive();
    guard.lost().await;
    assert_eq!(started.elapsed().as_millis(), 1000);
    // An extension does not bring it back.
    assert!(guard.extend().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn the_lost_token_is_cancelled_at_the_end_of_the_validity() {
    let (redsync, _) = memory();
    let mut guard = redsync
        .mutex("a")
        .with_expiry(300 * MILLI)
        .lock()
        .await
        .unwrap();
    let token = guard.lost_token();
    guard.lost_token().cancel();
    let until = guard.until();
    sleep(200 * MILLI).await;
    assert!(
        !token.is_cancelled(),
        "a token that the caller cancels does not cancel the others"
    );
    token.cancelled().await;
    assert!(Instant::now() >= until && Instant::now() < until + 5 * MILLI);
}

#[test]
fn the_lost_token_is_cancelled_if_its_runtime_ends() {
    let runtime = || Builder::new_current_thread().enable_all().build().unwrap();
    let (ends, lives) = (runtime(), runtime());
    let mutex = Redsync::in_memory(3).mutex("a").with_expiry(300 * MILLI);
    let (guard, token) = ends.block_on(async {
        let mut guard = mutex.lock().await.unwrap();
        let token = guard.lost_token();
        (guard, token)
    });
    drop(ends);
    lives.block_on(async {
        let cancelled = timeout(Duration::from_secs(30), token.cancelled()).await;
        cancelled.expect("the loss is announced");
        drop(guard);
    });
}

#[tokio::test(start_paused = true)]
async fn views_of_the_validity_show_its_end_when_the_guard_is_gone() {
    let (redsync, _) = memory();
    for end in ["drop", "release", "into_parts", "lost"] {
        let mut guard = redsync.mutex(end).lock().await.unwrap();
        let (token, validity) = (guard.lost_token(), guard.validity());
        match end {
            "drop" => drop(guard),
            "release" => drop(guard.release().await),
            "into_parts" => drop(guard.into_parts()),
            _ => {
                guard.lost().await;
                drop(guard);
            }
        }
        assert!(token.is_cancelled(), "{end}");
        assert!(validity.is_lost(), "{end}");
        assert!(validity.lost().now_or_never().is_some(), "{end}");
    }
}

#[tokio::test(start_paused = true)]
async fn healing_whose_answers_were_lost_does_not_take_back_a_lock_that_another_has_held() {
    let (redsync, nodes) = faulty();
    let mutex = redsync.mutex("a").with_set_if_absent_on_extend(true);
    let guard = mutex.lock().await.unwrap();
    redsync.drain().await;
    // Two nodes lose the key, and another client locks and releases.
    for node in &nodes[1..] {
        node.inner().clear();
    }
    let another = redsync.mutex("a").lock().await.unwrap();
    another.release().await.unwrap();
    redsync.drain().await;

    for node in &nodes[1..] {
        node.once(Operation::Extend, Fault::none());
        node.once(Operation::Extend, Fault::broken_reply());
    }
    nodes[0].always(Fault::unreachable());
    assert!(guard.extend().await.is_err());
    nodes[0].always(Fault::none());
    assert!(matches!(guard.extend().await, Err(ExtendError::Lost(_))));
    assert!(guard.is_lost());
}

#[tokio::test]
async fn work_on_real_servers_is_dropped_when_a_majority_dies() {
    for count in [3, 5] {
        let servers = Servers::start(count);
        let redsync = patient(Redsync::connect(servers.urls()).unwrap());
        let mutex = redsync.mutex("a").with_expiry(600 * MILLI);
        let result = mutex
            .run(async |held| {
                // It works for longer than the expiry, so the lock is extended.
                sleep(Duration::from_secs(1)).await;
                assert!(!held.is_lost());
                for server in &servers[..count / 2 + 1] {
                    server.kill();
                }
                sleep(Duration::from_secs(60)).await;
            })
            .await;
        assert!(matches!(result, Err(RunError::Lost)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_a_guard_that_delays_it() {
    for end in ["drop", "release", "dropped release", "into_parts"] {
        let (redsync, nodes) = faulty();
        let mut guard = redsync.mutex("a").lock().await.unwrap();
        redsync.drain().await;
        guard.delay_drain();
        for node in &nodes {
            let late = Fault::late_request(Duration::from_millis(100));
            node.once(Operation::Release, late);
        }
        let mut drain = pin!(redsync.drain());
        assert!(poll!(&mut drain).is_pending());
        let ends = async {
            match end {
                "drop" => drop(guard),
                "release" => assert_eq!(guard.release().await.unwrap(), Released::Held),
                "dropped release" => assert!(poll!(pin!(guard.release())).is_pending()),
                _ => drop(guard.into_parts()),
            }
        };
        ends.await;
        drain.await;
        for node in &nodes {
            assert_eq!(node.inner().is_empty(), end != "into_parts", "{end}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_drain_waits_for_every_drain_guard() {
    let (redsync, _) = memory();
    let first = redsync.drain_guard();
    let second = first.clone();
    let mut drain = pin!(redsync.drain());
    assert!(poll!(&mut drain).is_pending());
    drop(first);
    assert!(poll!(&mut drain).is_pending());
    drop(second);
    drain.await;
}
