//! Rule 4: a future or a guard can be dropped at any time, and leaves no key.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
    thread,
};

use futures_util::FutureExt;
use redsync::{Guard, Redsync, node::MemoryNode};
use redsync_tests::{
    FaultyNode,
    faulty::{Fault, Gate, Operation},
};
use tokio::{
    runtime::Runtime,
    time::{Instant, sleep, timeout},
};

use crate::{NAME, assert_no_keys, holders, ms, nodes, occupy, redsync};

/// Polls a future up to `times` times, whenever it is woken, and then drops it.
async fn polled<T>(future: impl Future<Output = T>, times: usize) -> Option<T> {
    let mut future = pin!(future);
    let mut left = times;
    poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Nodes with different delays, so that each answer is a poll of its own.
fn slow_nodes() -> [FaultyNode; 3] {
    let nodes = nodes::<3>();
    for (node, delay) in nodes.iter().zip([10, 25, 45]) {
        node.identify_as(redsync::node::Node::address(node));
        node.always(Fault::late_request(ms(delay)).and_late_reply(ms(2 * delay)));
    }
    nodes
}

async fn slow_guard() -> ([FaultyNode; 3], Redsync, Guard) {
    let nodes = slow_nodes();
    let redsync = redsync(&nodes);
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    (nodes, redsync, guard)
}

#[tokio::test(start_paused = true)]
async fn lock_may_be_dropped_at_every_await() {
    for times in 0.. {
        let nodes = slow_nodes();
        // The first attempts fail.
        occupy(&nodes[..2], ms(300)).await;
        let redsync = redsync(&nodes);
        let done = polled(redsync.mutex(NAME).lock(), times).await;
        let is_done = done.is_some();
        drop(done);
        redsync.drain().await;
        let keys = holders(&nodes).await.into_iter().flatten();
        assert_eq!(keys.filter(|value| value != "rival").count(), 0);
        if is_done {
            assert!(times > 10, "only {times} polls");
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_is_dropped_is_released() {
    let (nodes, redsync, guard) = slow_guard().await;
    assert!(holders(&nodes[..2]).await.iter().all(Option::is_some));
    drop(guard);
    redsync.drain().await;
    assert_no_keys(&nodes);
    for node in &nodes {
        assert_eq!(node.operations(), [Operation::Acquire, Operation::Release]);
    }
}

#[tokio::test(start_paused = true)]
async fn release_may_be_dropped_at_every_await() {
    for times in 0.. {
        let (nodes, redsync, guard) = slow_guard().await;
        let is_done = polled(guard.release(), times).await.is_some();
        redsync.drain().await;
        assert_no_keys(&nodes);
        if is_done {
            assert!(times > 1);
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn extend_may_be_dropped_at_every_await() {
    for times in 0.. {
        let (nodes, redsync, guard) = slow_guard().await;
        let before = guard.until();
        let is_done = polled(guard.extend(), times).await.is_some();
        assert_eq!(guard.until() > before, is_done);

        drop(guard);
        redsync.drain().await;
        assert_no_keys(&nodes);
        if is_done {
            assert!(times > 1);
            break;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn an_extension_that_was_dropped_does_not_keep_the_next_from_working() {
    for times in 0..4 {
        let (_nodes, _redsync, guard) = slow_guard().await;
        let _ = polled(guard.extend(), times).await;
        let start = Instant::now();
        guard.extend().await.unwrap();
        assert_eq!(guard.until(), start + crate::VALIDITY);
    }
}

#[tokio::test(start_paused = true)]
async fn a_guard_that_is_kept_alive_may_be_dropped_at_any_time() {
    for millis in (0..800).step_by(20) {
        let (nodes, redsync, mut guard) = slow_guard().await;
        guard.keep_alive();
        sleep(ms(millis)).await;
        drop(guard);
        redsync.drain().await;
        assert_no_keys(&nodes);
    }
}

#[tokio::test(start_paused = true)]
async fn verify_and_resume_may_be_dropped_and_change_nothing() {
    let (nodes, redsync, guard) = slow_guard().await;
    let value = guard.expose_value().clone();
    for times in 0..3 {
        assert!(polled(guard.verify(), times).await.is_none());
        let mutex = redsync.mutex(NAME);
        assert!(polled(mutex.resume(value.clone()), times).await.is_none());
    }
    redsync.drain().await;
    assert!(holders(&nodes).await.iter().all(Option::is_some));
    assert!(guard.verify().await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_a_timeout_cuts_off_leaves_nothing() {
    for limit in (0..300).step_by(7) {
        let nodes = slow_nodes();
        let redsync = redsync(&nodes);
        let _ = timeout(ms(limit), redsync.mutex(NAME).lock()).await;
        redsync.drain().await;
        assert_no_keys(&nodes);
    }
}

#[tokio::test(start_paused = true)]
async fn a_guard_can_be_dropped_in_a_thread_without_a_runtime() {
    let (nodes, redsync, guard) = slow_guard().await;
    thread::spawn(move || drop(guard)).join().unwrap();
    redsync.drain().await;
    assert_no_keys(&nodes);
}

#[tokio::test(start_paused = true)]
async fn a_release_can_be_dropped_in_a_thread_without_a_runtime() {
    let (nodes, redsync, guard) = slow_guard().await;
    let release = guard.release();
    thread::spawn(move || drop(release)).join().unwrap();
    redsync.drain().await;
    assert_no_keys(&nodes);
}

#[test]
fn without_any_runtime_keys_are_left_to_expire() {
    let node = MemoryNode::new();
    let redsync = Redsync::new([node.clone()]).unwrap();
    let guard = redsync.mutex(NAME).lock().now_or_never().unwrap().unwrap();
    assert_eq!(node.len(), 1);
    drop(guard);
    assert_eq!(node.len(), 1, "no runtime to release it on, and no panic");

    let guard = redsync.mutex("a").lock().now_or_never().unwrap().unwrap();
    drop(guard.release());
    let guard = redsync.mutex("b").lock().now_or_never().unwrap().unwrap();
    guard.extend().now_or_never().unwrap().unwrap();
    guard.release().now_or_never().unwrap().unwrap();
    assert_eq!(node.len(), 2);
    redsync.drain().now_or_never().unwrap();
}

#[test]
fn what_needs_a_runtime_panics_without_one() {
    let redsync = Redsync::in_memory(1);
    let mutex = redsync.mutex(NAME);
    let mut guard = mutex.lock().now_or_never().unwrap().unwrap();
    let mut panics = |call: &mut dyn FnMut(&mut Guard)| {
        catch_unwind(AssertUnwindSafe(|| call(&mut guard))).is_err()
    };
    assert!(panics(&mut Guard::keep_alive));
    assert!(panics(&mut |guard| drop(guard.lost_token())));
    assert!(panics(&mut |guard| guard
        .lost()
        .now_or_never()
        .unwrap_or_default()));
    assert!(panics(&mut |_| drop(mutex.lock().now_or_never())));
    // A single attempt has nothing to wait for.
    assert!(!panics(&mut |_| drop(mutex.try_lock().now_or_never())));
}

#[test]
fn a_guard_may_outlive_its_runtime() {
    let runtime = Runtime::new().unwrap();
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let mut guard = runtime.block_on(redsync.mutex(NAME).lock()).unwrap();
    let other = runtime.block_on(redsync.mutex("other").lock()).unwrap();
    runtime.block_on(async { guard.keep_alive() });
    drop(runtime);
    drop(guard);
    drop(other.release());
}

/// Begins to release a lock on a runtime that ends at once, while another one lives.
fn release_on_a_runtime_that_ends(
    ends: Runtime,
    begin: impl AsyncFnOnce(Guard),
) -> [FaultyNode; 3] {
    let lives = one_thread();
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let guard = lives.block_on(redsync.mutex(NAME).lock()).unwrap();
    for node in &nodes {
        node.once(Operation::Release, Fault::late_request(ms(50)));
    }
    ends.block_on(begin(guard));
    drop(ends);
    lives.block_on(async {
        let drained = timeout(ms(10_000), redsync.drain()).await;
        drained.expect("the releases end");
    });
    nodes
}

fn one_thread() -> Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().unwrap()
}

#[test]
fn a_release_whose_runtime_ends_moves_to_another() {
    for ends in [one_thread, || Runtime::new().unwrap()] {
        let nodes = release_on_a_runtime_that_ends(ends(), async |guard| drop(guard));
        assert_no_keys(&nodes);
        let nodes = release_on_a_runtime_that_ends(ends(), async |guard| {
            assert!(polled(guard.release(), 1).await.is_none());
        });
        assert_no_keys(&nodes);
        let nodes = release_on_a_runtime_that_ends(ends(), async |guard| {
            tokio::spawn(guard.release());
            tokio::task::yield_now().await;
        });
        assert_no_keys(&nodes);
    }
}

#[test]
fn an_attempt_whose_runtime_ends_is_released_on_another() {
    for ends in [one_thread, || Runtime::new().unwrap()] {
        let (lives, ends) = (one_thread(), ends());
        let nodes = nodes::<3>();
        let redsync = redsync(&nodes);
        lives.block_on(async { drop(redsync.mutex("other").lock().await.unwrap()) });
        for node in &nodes {
            node.once(Operation::Acquire, Fault::late_reply(ms(50)));
        }
        let mutex = redsync.mutex(NAME);
        ends.block_on(async {
            tokio::spawn(async move { mutex.lock().await });
            while nodes.iter().any(|node| node.inner().is_empty()) {
                tokio::task::yield_now().await;
            }
        });
        drop(ends);
        lives.block_on(redsync.drain());
        assert_no_keys(&nodes);
    }
}

#[test]
fn a_release_that_waits_to_be_repeated_moves_to_another_runtime() {
    for is_at_home in [false, true] {
        let (lives, ends) = (one_thread(), one_thread());
        let nodes = nodes::<3>();
        let redsync = redsync(&nodes);
        let mutex = redsync.mutex(NAME).with_expiry(ms(60_000));
        // Both are known from here on.
        drop(lives.block_on(redsync.mutex("other").lock()).unwrap());
        let home = if is_at_home { &ends } else { &lives };
        let guard = home.block_on(mutex.lock()).unwrap();
        for node in &nodes {
            node.always(Fault::unreachable());
        }
        ends.block_on(guard.release()).unwrap_err();
        for node in &nodes {
            node.always(Fault::none());
        }
        drop(ends);
        lives.block_on(redsync.drain());
        assert_no_keys(&nodes);
    }
}

#[test]
fn a_first_contact_on_a_runtime_that_stands_still_does_not_keep_others_from_locking() {
    let (stands_still, lives) = (one_thread(), one_thread());
    let nodes = nodes::<3>();
    for node in &nodes {
        node.identify_as(redsync::node::Node::address(node));
        node.once(Operation::Identity, Fault::late_reply(ms(10)));
    }
    let redsync = redsync(&nodes);
    let mutex = redsync.mutex("other");
    stands_still.block_on(async {
        tokio::spawn(async move { mutex.lock().await });
        while nodes
            .iter()
            .any(|node| node.sent(Operation::Identity).is_empty())
        {
            tokio::task::yield_now().await;
        }
    });
    let patient = redsync.mutex(NAME).with_expiry(ms(60_000));
    let lock = patient.with_node_timeout(ms(10_000)).try_lock();
    let guard = lives.block_on(lock).unwrap();
    lives.block_on(guard.release()).unwrap();
}

/// Lets all tasks run that can.
async fn yield_often() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[test]
fn a_release_left_to_a_runtime_that_stands_still_moves_to_another() {
    let (stands_still, lives) = (one_thread(), one_thread());
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let [dropped, released, kept] = ["a", "b", "c"].map(|name| {
        let mutex = redsync.mutex(name).with_expiry(ms(60_000));
        lives.block_on(mutex.lock()).unwrap()
    });
    let waits = redsync.mutex("c").with_hand_over(0, ms(0));
    stands_still.block_on(async {
        let waiter = tokio::spawn(async move { waits.lock().await });
        yield_often().await;
        for node in &nodes {
            node.always(Fault::late_request(ms(20)));
        }
        drop(dropped);
        assert!(polled(released.release(), 1).await.is_none());
        // Somebody waits for this one.
        drop(kept);
        assert!(polled(redsync.mutex("d").lock(), 1).await.is_none());
        yield_often().await;
        waiter.abort();
        yield_often().await;
    });
    for node in &nodes {
        node.always(Fault::none());
    }
    let drained = lives.block_on(async { timeout(ms(10_000), redsync.drain()).await });
    drained.expect("nothing waits for the runtime that stands still");
    assert_no_keys(&nodes);
}

#[test]
fn a_drain_needs_no_other_use_of_its_runtime_to_take_over_from_one_that_stands_still() {
    let (stands_still, drains) = (one_thread(), one_thread());
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    stands_still.block_on(async {
        let patient = redsync.mutex(NAME).with_expiry(ms(60_000));
        drop(patient.lock().await.unwrap());
    });
    let drained = drains.block_on(async { timeout(ms(10_000), redsync.drain()).await });
    drained.expect("nothing waits for the runtime that stands still");
    assert_no_keys(&nodes);
}

#[test]
fn a_release_that_two_runtimes_have_polled_does_not_wait_for_the_one_that_stands_still() {
    let (stands_still, lives) = (one_thread(), one_thread());
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let mutex = redsync.mutex(NAME).with_expiry(ms(60_000));
    let guard = lives.block_on(mutex.lock()).unwrap();
    for node in &nodes {
        node.once(Operation::Release, Fault::late_request(ms(20)));
    }
    let mut release = Box::pin(guard.release());
    assert!(stands_still.block_on(polled(&mut release, 1)).is_none());
    assert!(lives.block_on(polled(&mut release, 1)).is_none());
    let drained = lives.block_on(async {
        drop(release);
        timeout(ms(10_000), redsync.drain()).await
    });
    drained.expect("it begins again");
    assert_no_keys(&nodes);
}

#[test]
fn an_acquisition_that_is_dropped_on_another_runtime_is_released_behind_its_answer() {
    let (asks, drops) = (one_thread(), one_thread());
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let gate = Gate::new();
    for node in &nodes {
        node.once(Operation::Acquire, Fault::held_request(&gate));
    }
    let mut lock = Box::pin(redsync.mutex(NAME).with_expiry(ms(60_000)).lock());
    assert!(asks.block_on(polled(&mut lock, 1)).is_none());
    drops.block_on(async {
        drop(lock);
        yield_often().await;
    });
    for node in &nodes {
        assert!(node.sent(Operation::Release).is_empty());
    }
    gate.open();
    asks.block_on(yield_often());
    let drained = drops.block_on(async { timeout(ms(10_000), redsync.drain()).await });
    drained.expect("all is answered");
    assert_no_keys(&nodes);
}
