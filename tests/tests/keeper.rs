//! The task that extends guards: independent of the threads and runtimes that work under the locks.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use redsync::{
    FencingToken, Guard, NodeError, Redsync, Released,
    node::{Entry, ExtendVote, MemoryNode, Node, NodeWrapper},
};
use redsync_tests::{
    Servers,
    faulty::{Fault, FaultyNode, Operation},
    wait::until,
};
use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::yield_now,
    time::{Instant, sleep, sleep_until},
};

const SOON: Duration = Duration::from_secs(20);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn runtime(threads: usize) -> Runtime {
    let mut builder = Builder::new_multi_thread();
    let runtime = builder.worker_threads(threads).enable_all().build();
    runtime.expect("threads for a runtime")
}

fn short(redsync: Redsync) -> Redsync {
    redsync
        .with_defaults(|mutex| mutex.with_expiry(ms(600)))
        .expect("a configuration that works")
}

async fn kept(redsync: &Redsync, name: &str) -> Guard {
    let mut guard = redsync.mutex(name).lock().await.expect("a lock");
    guard.keep_alive();
    guard
}

/// Each round, a handler acquires a lock, begins to keep it alive, and blocks its thread at once, in
/// the same poll, for longer than the expiry.
fn blocks(redsync: &Redsync, threads: usize) {
    let runtime = runtime(threads);
    for round in 0..3 {
        let redsync = redsync.clone();
        let handler = runtime.spawn(async move {
            let guard = kept(&redsync, &format!("order:{threads}:{round}")).await;
            thread::sleep(ms(1500));
            assert!(
                !guard.is_lost(),
                "lost in round {round} on {threads} threads"
            );
            guard.release().await.expect("an answer")
        });
        let released = runtime.block_on(handler).expect("no panic");
        assert_eq!(released, Released::Held);
    }
}

#[test]
fn a_handler_that_blocks_its_thread_keeps_its_lock() {
    let servers = Servers::start(3);
    let made = [2, 4].map(|threads| {
        let connected = Redsync::connect(servers.urls()).expect("URLs");
        [(connected, threads), (Redsync::in_memory(3), threads)]
    });
    // At the same time, because most of it is waiting.
    thread::scope(|scope| {
        for (redsync, threads) in made.into_iter().flatten() {
            scope.spawn(move || blocks(&short(redsync), threads));
        }
    });
}

#[test]
fn a_guard_is_kept_alive_when_the_runtime_of_the_keeper_ends() {
    let redsync = short(Redsync::in_memory(3));
    let (first, second) = (runtime(2), runtime(2));
    // The keeper runs where it was first needed.
    let early = first.block_on(kept(&redsync, "early"));
    let guard = second.block_on(kept(&redsync, "late"));
    drop(first);
    // Work that blocks no thread of the second runtime.
    let until_then = Instant::now() + ms(2000);
    until("the lock is extended", SOON, || guard.until() > until_then);
    assert!(!guard.is_lost() && !early.is_lost());
    let released = second.block_on(guard.release());
    assert_eq!(released.expect("an answer"), Released::Held);
}

#[test]
fn a_keeper_whose_runtime_stands_still_is_replaced() {
    let redsync = short(Redsync::in_memory(3));
    // Nobody drives it after this.
    let idle = Builder::new_current_thread().enable_all().build().unwrap();
    let early = idle.block_on(kept(&redsync, "early"));
    until("the keeper is overdue", SOON, || early.is_lost());
    thread::sleep(ms(1500));
    let driven = runtime(2);
    let guard = driven.block_on(kept(&redsync, "late"));
    let until_then = Instant::now() + ms(2000);
    until("the lock is extended", SOON, || guard.until() > until_then);
    drop(idle);
    let until_then = Instant::now() + ms(2000);
    until("it still is", SOON, || guard.until() > until_then);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_guards_are_extended_by_one_task_and_no_more_often_than_necessary() {
    let nodes: Vec<_> = (0..3).map(|_| FaultyNode::new()).collect();
    let redsync = short(Redsync::new(nodes.clone()).expect("nodes"));
    let mut guards = Vec::new();
    for number in 0..1000 {
        guards.push(kept(&redsync, &format!("order:{number}")).await);
    }
    let alive = || Handle::current().metrics().num_alive_tasks();
    sleep(ms(1)).await;
    assert_eq!(alive(), 1);
    let before = nodes[0].sent(Operation::Extend).len();
    // Ten thirds of the expiry.
    sleep(ms(2000)).await;
    assert_eq!(nodes[0].sent(Operation::Extend).len() - before, 10 * 1000);
    assert!(guards.iter().all(|guard| !guard.is_lost()));
    drop(guards);
    redsync.drain().await;
    sleep(ms(600)).await;
    assert_eq!(alive(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_extension_whose_answer_is_later_than_the_node_time_limit_counts() {
    let nodes: Vec<_> = (0..3).map(|_| FaultyNode::new()).collect();
    let redsync = Redsync::new(nodes.clone()).expect("nodes");
    let mutex = redsync.mutex("order:42").with_node_timeout(ms(50));
    let mut guard = mutex.lock().await.expect("a lock");
    guard.keep_alive();
    for node in &nodes {
        node.always_on(Operation::Extend, Fault::late_reply(ms(1000)));
    }
    sleep(Duration::from_secs(60)).await;
    assert!(!guard.is_lost());
}

#[test]
fn a_runtime_that_stands_still_loses_no_guard_of_another() {
    let redsync = short(Redsync::in_memory(3));
    // Nobody drives it after this.
    let idle = Builder::new_current_thread().enable_all().build().unwrap();
    let early = idle.block_on(kept(&redsync, "early"));
    let driven = runtime(2);
    let guard = driven.block_on(kept(&redsync, "late"));
    let until_then = Instant::now() + ms(2000);
    until("the locks are extended", SOON, || {
        guard.until() > until_then && early.until() > until_then
    });
    assert!(!guard.is_lost() && !early.is_lost());
}

#[test]
fn new_guards_do_not_keep_an_overdue_keeper_from_running() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let is_lost = runtime.block_on(async {
        let redsync = Redsync::in_memory(3)
            .with_defaults(|mutex| mutex.with_expiry(ms(3000)))
            .unwrap();
        let guard = kept(&redsync, "order:42").await;
        for task in 0..20 {
            let redsync = redsync.clone();
            tokio::spawn(async move {
                loop {
                    let guard = kept(&redsync, &format!("job:{task}")).await;
                    yield_now().await;
                    guard.release().await.unwrap();
                }
            });
        }
        sleep(ms(5)).await;
        // A handler blocks the only thread, but not for as long as the lock is valid.
        thread::sleep(ms(2200));
        sleep(ms(1200)).await;
        guard.is_lost()
    });
    assert!(!is_lost);
}

/// A node that blocks the thread of the keeper, once.
struct Blocks(MemoryNode, AtomicBool);

impl NodeWrapper for Blocks {
    type Inner = MemoryNode;

    fn inner(&self) -> &MemoryNode {
        &self.0
    }

    async fn extend(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        heal: bool,
    ) -> Result<ExtendVote, NodeError> {
        if entry.names[0].as_ref() == "slow" && self.1.swap(false, Ordering::Relaxed) {
            thread::sleep(ms(2200));
        }
        self.0.extend(entry, token, heal).await
    }
}

#[test]
fn a_keeper_that_was_replaced_does_not_take_the_place_of_its_successor() {
    runtime(4).block_on(async {
        let redsync = Redsync::new([Blocks(MemoryNode::new(), true.into())]).unwrap();
        let start = Instant::now();
        let kept = async |name: &str, expiry| {
            let mutex = redsync.mutex(name).with_expiry(expiry);
            let mut guard = mutex.lock().await.unwrap();
            guard.keep_alive();
            guard
        };
        // It is due after 2 s, and blocks the keeper up to 4.2 s.
        let _slow = kept("slow", ms(6000)).await;
        sleep_until(start + ms(3300)).await;
        // The keeper is overdue, and is replaced.
        let _long = kept("long", ms(30_000)).await;
        sleep_until(start + ms(4400)).await;
        let short = kept("short", ms(600)).await;
        sleep(ms(1000)).await;
        assert!(!short.is_lost());
    });
}

#[tokio::test(start_paused = true)]
async fn extensions_that_are_late_do_not_make_each_other_later() {
    let node = FaultyNode::new();
    let mut free_at = Instant::now();
    // It carries out one extension after the other, each in 2 ms.
    node.plan(move |operation| match operation {
        Operation::Extend => {
            let now = Instant::now();
            free_at = free_at.max(now) + ms(2);
            Fault::late_request(free_at - now)
        }
        _ => Fault::none(),
    });
    let redsync = Redsync::new([node])
        .and_then(|redsync| redsync.with_defaults(|mutex| mutex.with_node_timeout(ms(400))))
        .unwrap();
    let mut guards = Vec::new();
    // They take 1.6 s of every 2.7 s.
    for number in 0..800 {
        guards.push(kept(&redsync, &format!("order:{number}")).await);
    }
    sleep(Duration::from_secs(60)).await;
    let lost = guards.iter().filter(|guard| guard.is_lost()).count();
    assert_eq!(lost, 0);
}
