//! One `Redsync` on several runtimes, of which some end or are not driven.

use std::{pin::Pin, thread, time::Duration};

use futures_util::{FutureExt, future::join_all};
use redsync::{Mutex, Redsync, future::Lock};
use redsync_tests::{RedisServer, Servers, wait::until_async};
use tokio::{
    runtime::{Builder, Runtime},
    time::{sleep, timeout},
};

const LIMIT: Duration = Duration::from_secs(20);

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn connect(urls: impl IntoIterator<Item = String>) -> Redsync {
    let redsync = Redsync::connect(urls).unwrap();
    // One attempt has to be enough, well below a second.
    redsync
        .with_defaults(|mutex| mutex.with_node_timeout(Duration::from_millis(900)))
        .unwrap()
}

/// One attempt that all nodes answer, and the release of its lock.
async fn locks(mutex: &Mutex) {
    let guard = mutex.try_lock().await.unwrap();
    guard.release().await.unwrap();
}

/// Starts to lock on a runtime that is not driven any longer: the commands are sent, and their replies
/// are not read.
fn lock_on(still: &Runtime, redsync: &Redsync) -> Pin<Box<Lock>> {
    still.block_on(locks(&redsync.mutex("warm").with_fail_fast(false)));
    let mut lock = Box::pin(redsync.mutex("a").lock());
    still.block_on(async {
        assert!((&mut lock).now_or_never().is_none());
        tokio::task::yield_now().await;
    });
    lock
}

#[test]
fn a_first_contact_on_a_runtime_that_is_not_driven_holds_up_no_other() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    let (still, driven) = (runtime(), runtime());
    still.block_on(async {
        assert!(redsync.mutex("a").lock().now_or_never().is_none());
    });
    driven.block_on(async {
        until_async("a lock", LIMIT, async || {
            redsync.mutex("b").try_lock().await.is_ok()
        })
        .await;
    });
}

#[test]
fn connections_of_a_runtime_that_is_not_driven_are_replaced() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    let (still, driven) = (runtime(), runtime());
    let mutex = redsync.mutex("a").with_fail_fast(false);
    still.block_on(locks(&mutex));
    driven.block_on(async {
        sleep(Duration::from_millis(300)).await;
        locks(&mutex).await;
    });
    // In a row, so the attempt itself notices that, and another succeeds.
    still.block_on(async {
        let _ = mutex.try_lock().await;
        locks(&mutex).await;
    });
    drop(driven);
    still.block_on(async {
        until_async("no key", Duration::from_secs(5), async || {
            servers.iter().all(|server| server.keys().is_empty())
        })
        .await;
    });
}

#[test]
fn an_attempt_under_way_on_a_runtime_that_is_no_longer_driven_leaves_no_key() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    let (still, driven) = (runtime(), runtime());
    let lock = lock_on(&still, &redsync);
    driven.block_on(async {
        drop(lock);
        let guard = redsync.mutex("b").lock_within(LIMIT).await.unwrap();
        guard.release().await.unwrap();
        until_async("no key", Duration::from_secs(5), async || {
            servers.iter().all(|server| server.keys().is_empty())
        })
        .await;
    });
}

#[test]
fn a_drain_ends_though_a_runtime_that_is_no_longer_driven_has_not_read_its_replies() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    let (still, driven) = (runtime(), runtime());
    let lock = lock_on(&still, &redsync);
    driven.block_on(async {
        drop(lock);
        let drained = timeout(LIMIT, redsync.drain()).await;
        drained.expect("nothing waits for the runtime that is not driven");
    });
    servers.assert_no_keys();
}

#[test]
fn work_on_a_runtime_that_stands_still_moves_though_the_runtime_that_watches_ends() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    let (still, watches, lives) = (runtime(), runtime(), runtime());
    for known in [&lives, &watches, &still] {
        known.block_on(async {
            let guard = redsync.mutex("first").lock_within(LIMIT).await.unwrap();
            guard.release().await.unwrap();
        });
    }
    // Its release is left to the runtime on which it is dropped, and the last of the others watches it.
    still.block_on(async {
        let guard = redsync.mutex("a").lock_within(LIMIT).await.unwrap();
        servers.iter().for_each(RedisServer::stop);
        drop(guard);
        tokio::task::yield_now().await;
    });
    drop(watches);
    servers.iter().for_each(RedisServer::cont);
    let drained = lives.block_on(async { timeout(LIMIT, redsync.drain()).await });
    drained.expect("nothing waits for the runtime that is not driven");
    servers.assert_no_keys();
}

#[test]
fn the_first_attempt_on_each_new_runtime_succeeds() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    for _ in 0..5 {
        runtime().block_on(locks(&redsync.mutex("a")));
        // This one ends while it connects, or while its commands are under way.
        runtime().block_on(async {
            assert!(redsync.mutex("b").lock().now_or_never().is_none());
        });
        let threads = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        threads.block_on(locks(&redsync.mutex("a")));
    }
}

#[test]
fn a_runtime_that_ends_with_commands_under_way_fails_no_lock_of_another() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    let driven = runtime();
    for round in 0..4 {
        let ends = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        // The connections are on this runtime.
        ends.block_on(async {
            let guard = redsync.mutex("warm").lock_within(LIMIT).await.unwrap();
            guard.release().await.unwrap();
        });
        for task in 0..8 {
            let mutex = redsync.mutex(format!("ends:{round}:{task}"));
            ends.spawn(async move {
                loop {
                    let _ = mutex.lock().await;
                }
            });
        }
        driven.block_on(async {
            let lock = async |task: usize| {
                let mutex = redsync.mutex(format!("stays:{round}:{task}"));
                for _ in 0..20 {
                    let guard = mutex.lock_within(LIMIT).await.unwrap();
                    // It is unknown whether a release was carried out that was under way at the end.
                    let _ = guard.release().await;
                }
            };
            let tasks = join_all((0..8).map(lock));
            let end = async {
                sleep(Duration::from_millis(5)).await;
                ends.shutdown_background();
            };
            tokio::join!(tasks, end);
        });
    }
    driven.block_on(until_async("no key", Duration::from_secs(5), async || {
        servers.iter().all(|server| server.keys().is_empty())
    }));
}

#[test]
fn a_guard_that_is_dropped_on_a_runtime_that_ends_is_released_on_another() {
    for first_on_the_one_that_ends in [true, false] {
        let servers = Servers::start(3);
        let redsync = connect(servers.urls());
        let (ends, lives) = (runtime(), runtime());
        // Connections are made on the runtime that comes first.
        let mut order = [&ends, &lives];
        if !first_on_the_one_that_ends {
            order.reverse();
        }
        for runtime in order {
            // The other runtime is not driven, and the first attempt may have to notice that.
            let mutex = redsync.mutex("first");
            drop(runtime.block_on(mutex.lock_within(LIMIT)).unwrap());
        }
        ends.block_on(async {
            let lock = async |name| redsync.mutex(name).lock_within(LIMIT).await.unwrap();
            drop(lock("a").await);
            drop(lock("b").await.release());
            assert!(redsync.mutex("c").lock().now_or_never().is_none());
        });
        drop(ends);
        let drained = lives.block_on(async { timeout(LIMIT, redsync.drain()).await });
        drained.expect("nothing waits for the runtime that has ended");
        servers.assert_no_keys();
    }
}

/// As services have them for work that takes much time of a processor.
#[test]
fn a_guard_that_is_dropped_on_a_runtime_without_timers_or_sockets_is_released_nevertheless() {
    let servers = Servers::start(3);
    let of_one_thread = Builder::new_current_thread().enable_all().build().unwrap();
    let of_several = Builder::new_multi_thread().enable_all().build().unwrap();
    for home in [of_one_thread, of_several] {
        let redsync = connect(servers.urls());
        let without_timers = Builder::new_multi_thread().build().unwrap();
        let with_timers = Builder::new_multi_thread().enable_time().build().unwrap();
        for other in [without_timers, with_timers] {
            let mutex = redsync.mutex("a").with_expiry(10 * LIMIT);
            let guard = home.block_on(async { mutex.lock_within(LIMIT).await.unwrap() });
            // The connections are checked before they are used again.
            thread::sleep(Duration::from_millis(1200));
            home.block_on(other.spawn(async move { drop(guard) }))
                .unwrap();
            home.block_on(until_async("no key", LIMIT, async || {
                servers.iter().all(|server| server.keys().is_empty())
            }));
            let drained = home.block_on(async { timeout(LIMIT, redsync.drain()).await });
            drained.expect("nothing waits for the other runtime");
        }
    }
}
