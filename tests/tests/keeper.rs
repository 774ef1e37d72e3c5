//! The task that extends guards: independent of the threads and runtimes that work under the locks.

use std::thread;
use std::time::Duration;

use redsync::{Guard, Redsync, Released};
use redsync_tests::Servers;
use redsync_tests::faulty::{FaultyNode, Operation};
use redsync_tests::wait::until;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::time::{Instant, sleep};

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
            let guard = kept(&redsync, &format!("order:{round}")).await;
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
    for threads in [2, 4] {
        blocks(
            &short(Redsync::connect(servers.urls()).expect("URLs")),
            threads,
        );
        blocks(&short(Redsync::in_memory(3)), threads);
    }
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
async fn a_thousand_guards_are_extended_by_one_task_and_no_oftener_than_they_must() {
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
    use redsync_tests::faulty::Fault;

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
