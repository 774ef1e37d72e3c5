//! Every future is dropped at each of its awaits. No key is left on any node unless a guard holds it.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use redsync::{Redsync, node::MemoryNode};
use redsync_tests::{
    Servers,
    faulty::{Fault, FaultyNode, Operation},
};

use super::{MILLI, patient};

/// Polls a future up to `polls` times, each time it is woken, and drops it. Returns whether it had
/// ended by then.
async fn poll_and_drop(polls: usize, future: impl Future) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        let ended = future.as_mut().poll(cx).is_ready();
        if ended || left == 0 {
            Poll::Ready(ended)
        } else {
            Poll::Pending
        }
    })
    .await
}

/// Drops the work of `make` after one poll, after two, and so on, until it ends by itself. Calls `check`
/// each time.
async fn everywhere(make: impl AsyncFn(usize) -> bool, check: impl AsyncFn()) {
    for polls in 0..1000 {
        let ended = make(polls).await;
        check().await;
        if ended {
            assert!(polls > 0);
            return;
        }
    }
    panic!("it never ends");
}

/// Drops all futures of all kinds of locks.
async fn drop_everything(redsync: &Redsync, check: impl AsyncFn()) {
    let one = redsync.mutex("a");
    let kinds = [
        one.clone(),
        one.shared(),
        one.clone().with_fencing(true),
        one.clone().with_set_if_absent_on_extend(true),
        redsync.mutex_many(["a", "b"]).with_fencing(true),
    ];
    for mutex in kinds {
        everywhere(
            async |polls| poll_and_drop(polls, mutex.lock()).await,
            &check,
        )
        .await;
        everywhere(
            async |polls| {
                let guard = mutex.lock().await.unwrap();
                poll_and_drop(polls, guard.extend()).await
            },
            &check,
        )
        .await;
        everywhere(
            async |polls| {
                let guard = mutex.lock().await.unwrap();
                poll_and_drop(polls, guard.verify()).await
            },
            &check,
        )
        .await;
        everywhere(
            async |polls| {
                let guard = mutex.lock().await.unwrap();
                poll_and_drop(polls, guard.release()).await
            },
            &check,
        )
        .await;
        everywhere(
            async |polls| {
                let parts = mutex.lock().await.unwrap().into_parts();
                // A key that is set after this would be released by nobody.
                redsync.drain().await;
                let resumed = mutex.resume(parts.clone());
                let ended = poll_and_drop(polls, async { drop(resumed.await) }).await;
                if !ended {
                    drop(mutex.resume(parts).await.unwrap());
                }
                ended
            },
            &check,
        )
        .await;
        everywhere(
            async |polls| {
                let work = mutex.run(async |_| tokio::task::yield_now().await);
                poll_and_drop(polls, work).await
            },
            &check,
        )
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn on_slow_nodes_dropped_futures_leave_no_key() {
    let nodes: Vec<_> = (0..3).map(|_| FaultyNode::new()).collect();
    for (index, node) in (1..).zip(&nodes) {
        // So rounds are dropped between the answers of any two nodes.
        let late = Fault::late_request(index * MILLI).and_late_reply(2 * index * MILLI);
        node.plan(move |_: Operation| late.clone());
    }
    let redsync = Redsync::new(nodes.clone()).unwrap();
    drop_everything(&redsync, async || {
        redsync.drain().await;
        assert!(
            nodes
                .iter()
                .map(FaultyNode::inner)
                .all(MemoryNode::is_empty)
        );
    })
    .await;
}

#[tokio::test]
async fn on_real_servers_dropped_futures_leave_no_key() {
    for count in [3, 5] {
        let servers = Servers::start(count);
        let redsync = patient(Redsync::connect(servers.urls()).unwrap());
        drop_everything(&redsync, async || {
            redsync.drain().await;
            for server in &servers {
                let mut keys = server.keys();
                keys.retain(|key| !key.ends_with(":fence"));
                assert!(keys.is_empty(), "{keys:?}");
            }
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_check_can_fail() {
    let ends = poll_and_drop(1000, tokio::time::sleep(Duration::from_millis(1)));
    assert!(ends.await);
    let dropped = poll_and_drop(1, tokio::time::sleep(Duration::from_millis(1)));
    assert!(!dropped.await);
}
