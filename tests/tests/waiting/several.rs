//! Waiters for several names, beside waiters for each of them.

use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU32, Ordering},
};

use redsync::{LockError, Mode, Redsync, node::MemoryNode};
use redsync_tests::{Servers, wait::until_async};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    SOON, WAIT, assert_before_a_poll, fairness::from_afar, got, in_memory, ms, on_servers,
    poll_once, queue, waiting,
};

const ACCOUNTS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// A process with nodes that are a millisecond away.
fn process() -> Redsync {
    let stores: Vec<_> = (0..3).map(|_| MemoryNode::new()).collect();
    from_afar(&stores, ms(1))
}

/// Locks, holds and releases without an end, and counts.
async fn use_again_and_again(mutex: redsync::Mutex, count: Arc<AtomicU32>) {
    loop {
        let guard = mutex.lock_within(WAIT).await.expect("a lock");
        count.fetch_add(1, Ordering::Relaxed);
        sleep(ms(1)).await;
        guard.release().await.expect("an answer");
    }
}

/// Eight tasks for each of the names that always come again. Their locks are counted.
fn busy(redsync: &Redsync, names: &[&str]) -> (JoinSet<()>, Arc<AtomicU32>) {
    let mut tasks = JoinSet::new();
    let count = Arc::new(AtomicU32::new(0));
    for name in names.iter().cycle().take(8 * names.len()) {
        tasks.spawn(use_again_and_again(
            redsync.mutex(*name),
            Arc::clone(&count),
        ));
    }
    (tasks, count)
}

/// How often others get `a` or `b` while one waits for both, at the most.
async fn overtaken(redsync: &Redsync, times: u32) -> u32 {
    let (mut tasks, count) = busy(redsync, &["a", "b"]);
    // Before there are queues, all make their first attempts side by side.
    until_async("there are queues", SOON, async || {
        count.load(Ordering::Relaxed) > ALL
    })
    .await;
    let mut most = 0;
    for _ in 0..times {
        sleep(ms(fastrand::u64(1..50))).await;
        let before = count.load(Ordering::Relaxed);
        let guard = redsync.mutex_many(["a", "b"]).lock_within(WAIT).await;
        most = most.max(count.load(Ordering::Relaxed) - before);
        sleep(ms(1)).await;
        guard.expect("a lock").release().await.expect("an answer");
    }
    tasks.shutdown().await;
    most
}

/// As many tasks as there are, each of which may be in a queue before the waiter.
const ALL: u32 = 2 * 8;

#[tokio::test(start_paused = true)]
async fn a_waiter_for_two_names_does_not_starve_beside_busy_waiters_for_each() {
    let most = overtaken(&process(), 50).await;
    println!("at most {most} locks of others while one waits for both");
    assert!(most <= ALL, "{most}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_for_two_names_does_not_starve_on_servers() {
    let servers = Servers::start(3);
    let [redsync] = on_servers(&servers);
    let most = timeout(SOON, overtaken(&redsync, 50)).await;
    let most = most.expect("an end");
    println!("on servers: at most {most} locks of others while one waits for both");
    // Two more may join on another thread at the same time.
    assert!(most <= ALL + 2, "{most}");
}

#[tokio::test(start_paused = true)]
async fn transfers_over_overlapping_pairs_all_complete() {
    let redsync = process();
    let (mut audits, _) = busy(&redsync, &ACCOUNTS);
    let mut tasks = JoinSet::new();
    let start = Instant::now();
    for number in 0..100 {
        let (from, to) = (number % 5, (number + 1 + number / 5 % 4) % 5);
        let mutex = redsync.mutex_many([ACCOUNTS[from], ACCOUNTS[to]]);
        tasks.spawn(async move {
            let guard = mutex.lock_within(WAIT).await.expect("a lock");
            sleep(ms(1)).await;
            guard.release().await.expect("an answer");
        });
    }
    tasks.join_all().await;
    let took = start.elapsed();
    audits.shutdown().await;
    println!("100 transfers in {took:?}");
    // One after the other, with three messages to the nodes and back for each: to release, to check
    // and to acquire; and the forty audits among them. No waiter waits for a poll.
    assert!(took < 140 * (ms(1) + 3 * ms(2)), "{took:?}");
}

/// A guard for one name is released while the head wants several: the lock is not handed over to the
/// waiters behind it.
#[tokio::test(start_paused = true)]
async fn waiters_for_several_names_keep_their_order_among_others() {
    for (order, served) in [
        (["a", "both", "b"], ["a", "both", "b"]),
        (["both", "a", "b"], ["both", "a", "b"]),
        (["a", "b", "both"], ["a", "b", "both"]),
    ] {
        let ([redsync], _) = in_memory();
        let (a, b) = (redsync.mutex("a"), redsync.mutex("b"));
        let both = redsync.mutex_many(["a", "b"]);
        let held = [a.lock().await.unwrap(), b.lock().await.unwrap()];
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut tasks = JoinSet::new();
        for name in order {
            let mutex = [("a", &a), ("b", &b), ("both", &both)];
            let mutex = mutex.iter().find(|(known, _)| *known == name).unwrap().1;
            let (waiter, log) = (queue(mutex.lock_within(WAIT)).await, Arc::clone(&log));
            tasks.spawn(async move {
                let guard = waiter.await.expect("a lock");
                log.lock().unwrap().push(name);
                sleep(ms(1)).await;
                guard.release().await.expect("an answer");
            });
        }
        sleep(ms(1)).await;
        let start = Instant::now();
        let [first, second] = held;
        drop(first);
        sleep(ms(1)).await;
        drop(second);
        tasks.join_all().await;
        assert_before_a_poll(start);
        assert_eq!(*log.lock().unwrap(), served);
    }
}

#[tokio::test(start_paused = true)]
async fn a_newcomer_joins_the_queue_of_any_of_its_names() {
    let ([redsync], _) = in_memory();
    let both = redsync.mutex_many(["a", "b"]);
    let held = redsync.mutex("a").lock().await.unwrap();
    let mut waiter = queue(both.lock_within(WAIT)).await;
    // It is free, and others came first.
    let mut newcomer = queue(redsync.mutex("b").lock_within(WAIT)).await;
    drop(redsync.mutex("b").try_lock().await.unwrap());
    redsync.drain().await;
    sleep(ms(1)).await;
    assert!(poll_once(&mut newcomer).await.is_pending());
    drop(held);
    sleep(ms(1)).await;
    let guard = got(poll_once(&mut waiter).await);
    assert!(poll_once(&mut newcomer).await.is_pending());
    drop(guard);
    drop(newcomer.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn the_queue_of_each_name_is_limited() {
    let ([redsync], _) = in_memory();
    let held = redsync.mutex_many(["a", "b"]).lock().await.unwrap();
    let _waiter = queue(redsync.mutex("b").lock_within(WAIT)).await;
    let both = redsync.mutex_many(["a", "b"]).with_max_waiting(1);
    let refused = both.lock_within(WAIT).await;
    assert!(
        matches!(refused, Err(LockError::TooManyWaiting { limit: 1, .. })),
        "{refused:?}"
    );
    // And it has left nothing in the other one.
    assert!(!waiting(&redsync.mutex("a"), 1).await);
    drop(held);
}

/// A waiter for several names leaves, which was at the head for some of them: those behind it go on.
#[tokio::test(start_paused = true)]
async fn waiters_behind_one_for_several_names_go_on_when_it_leaves() {
    for mode in [Mode::Exclusive, Mode::Shared] {
        let ([redsync], _) = in_memory();
        let held = redsync.mutex("a").lock().await.unwrap();
        let before = queue(redsync.mutex("a").lock_within(WAIT)).await;
        let several = redsync.mutex_many(["a", "b", "c"]).with_mode(mode);
        let several = queue(several.lock_within(WAIT)).await;
        let mut behind = JoinSet::new();
        for name in ["b", "c"] {
            behind.spawn(queue(redsync.mutex(name).lock_within(WAIT)).await);
        }
        sleep(ms(10)).await;
        assert!(behind.try_join_next().is_none());
        let start = Instant::now();
        drop(several);
        for guard in behind.join_all().await {
            drop(guard.expect("a lock"));
        }
        assert_before_a_poll(start);
        drop(held);
        drop(before.await.unwrap());
    }
}
