//! Many waiters for few permits, which are held for less time than it takes to find one that is free.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use redsync::{Mutex, Redsync, node::Node};
use redsync_tests::faulty::{Fault, FaultyNode, Operation};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::NAME;
use crate::{WAIT, Watched, assert_before_a_poll, cancelled::poll_and_drop, drowsy, ms};

const PERMITS: usize = 8;
const WAITERS: usize = 100;

/// How many permits pass a waiter at most, for each permit there is.
const MOST_PASSES: usize = 4;

/// How many are granted a permit before a waiter at most: those that were in the queue before it,
/// those that have passed it, and those that were granted a permit before and had not been polled.
const FIRST: usize = WAITERS + MOST_PASSES * PERMITS + PERMITS;

/// How long each holds its permit, and how long a node takes to answer.
const HOLD: u64 = 5;
const ANSWER: u64 = 5;

/// How many more are granted one while a waiter, to which a permit was handed over, ends its
/// search. This takes no longer than an answer: each permit is granted at the beginning, and again
/// after each hold.
const ENDING: usize = PERMITS * (1 + ANSWER as usize / HOLD as usize);

/// How long the permits are wanted.
const SPAN: u64 = 5_000;

/// A node that answers late, but reports at once.
fn late_node() -> Watched {
    let watched = Watched::new();
    let late = Fault::late_request(ms(ANSWER / 2)).and_late_reply(ms(ANSWER.div_ceil(2)));
    watched.node.plan(move |_| late.clone());
    watched
}

/// Processes on these nodes.
fn processes<const N: usize>(nodes: &[impl Node + Clone]) -> [Redsync; N] {
    [(); N].map(|()| drowsy(Redsync::new(nodes.to_vec()).unwrap()))
}

/// Processes on nodes that answer late.
fn late<const N: usize>() -> ([Redsync; N], Vec<FaultyNode>) {
    let nodes: [_; 3] = std::array::from_fn(|_| late_node());
    let processes = processes(&nodes);
    (processes, nodes.map(|watched| watched.node).to_vec())
}

/// The holders in all processes.
#[derive(Default)]
struct Holders {
    now: AtomicUsize,
    most: AtomicUsize,
    /// How many others of its process were granted a permit before a waiter, at most.
    first: AtomicUsize,
}

impl Holders {
    async fn hold(&self) {
        let before = self.now.fetch_add(1, Relaxed);
        self.most.fetch_max(before + 1, Relaxed);
        sleep(ms(HOLD)).await;
        self.now.fetch_sub(1, Relaxed);
    }
}

/// Wants a permit over and over. `granted` counts those that its process was granted.
async fn want(mutex: Mutex, holders: Arc<Holders>, granted: Arc<AtomicUsize>, end: Instant) {
    // At first there is no queue, and all make attempts of their own.
    drop(mutex.lock_within(WAIT).await.unwrap());
    while Instant::now() < end {
        let before = granted.load(Relaxed);
        let guard = mutex.lock_within(WAIT).await.unwrap();
        let others = granted.fetch_add(1, Relaxed) - before;
        holders.first.fetch_max(others, Relaxed);
        holders.hold().await;
        drop(guard);
    }
}

/// Many tasks of each process want the permits. At most `first` others of its process are granted
/// one before each of them. Returns how many permits are in use, on an average, because of each
/// process.
async fn in_use<const N: usize>(processes: &[Redsync; N], first: usize) -> [f64; N] {
    let end = Instant::now() + ms(SPAN);
    let (holders, mut tasks) = (Arc::<Holders>::default(), JoinSet::new());
    let granted = processes.each_ref().map(|redsync| {
        let granted = Arc::<AtomicUsize>::default();
        for _ in 0..WAITERS {
            let mutex = redsync.semaphore(NAME, PERMITS);
            let (holders, granted) = (Arc::clone(&holders), Arc::clone(&granted));
            tasks.spawn(want(mutex, holders, granted, end));
        }
        granted
    });
    tasks.join_all().await;
    assert_eq!(holders.most.load(Relaxed), PERMITS);
    let others = holders.first.load(Relaxed);
    println!("at most {others} came first");
    assert!(others <= first, "{others}");
    granted.map(|granted| granted.load(Relaxed) as f64 * HOLD as f64 / SPAN as f64)
}

#[tokio::test(start_paused = true)]
async fn a_process_uses_all_permits_although_they_are_held_for_less_time_than_a_search_takes() {
    fastrand::seed(1);
    let (processes, nodes) = late();
    let [in_use] = in_use(&processes, FIRST + ENDING).await;
    let attempts = nodes[0].sent(Operation::Acquire).len();
    println!("{in_use:.2} permits in use, {attempts} attempts");
    assert!(in_use > 0.75 * PERMITS as f64, "{in_use:.2}");
}

#[tokio::test(start_paused = true)]
async fn a_process_uses_many_permits_although_watches_begin_and_report_late() {
    fastrand::seed(1);
    let nodes: [_; 3] = std::array::from_fn(|_| Watched {
        after: ms(ANSWER),
        ..late_node()
    });
    let [in_use] = in_use(&processes(&nodes), FIRST + ENDING).await;
    println!("{in_use:.2} permits in use");
    assert!(in_use > 0.3 * PERMITS as f64, "{in_use:.2}");
}

#[tokio::test(start_paused = true)]
async fn a_process_uses_many_permits_although_the_nodes_cannot_be_watched() {
    fastrand::seed(1);
    let nodes: [_; 3] = std::array::from_fn(|_| late_node().node);
    let [in_use] = in_use(&processes(&nodes), FIRST + ENDING).await;
    println!("{in_use:.2} permits in use");
    assert!(in_use > 0.35 * PERMITS as f64, "{in_use:.2}");
}

#[tokio::test(start_paused = true)]
async fn two_processes_with_crowds_share_the_permits() {
    fastrand::seed(1);
    let (processes, nodes) = late();
    // Many of the permits are granted in the other process, and do not come first here.
    let [here, there] = in_use(&processes, FIRST).await;
    let attempts = nodes[0].sent(Operation::Acquire).len();
    println!("{here:.2} and {there:.2} permits in use, {attempts} attempts");
    assert!(
        here.min(there) > 0.1 * PERMITS as f64,
        "{here:.2}, {there:.2}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_is_dropped_while_it_searches_or_holds_leaves_no_permit_behind() {
    for polls in 0..40 {
        let ([here, there], nodes) = late();
        let mutex = here.semaphore(NAME, 2);
        let held = mutex.try_lock().await.unwrap();
        let other = there.semaphore(NAME, 2).try_lock().await.unwrap();
        let head = tokio::spawn(poll_and_drop(polls, mutex.lock_within(WAIT)));
        // Until its first attempts are over.
        sleep(ms(4 * ANSWER)).await;
        let mut waiters = JoinSet::new();
        for number in 0..4 {
            let waiter = mutex.lock_within(WAIT);
            waiters.spawn(async move {
                if number == 1 {
                    // It has been handed over to this one, which does not know yet.
                    return drop(poll_and_drop(2, waiter).await);
                }
                let guard = waiter.await.unwrap();
                sleep(ms(HOLD)).await;
                drop(guard);
            });
        }
        sleep(ms(1)).await;
        let start = Instant::now();
        // The head searches for this one, and the other passes it.
        drop(other);
        sleep(ms(ANSWER)).await;
        drop(held);
        waiters.join_all().await;
        assert_before_a_poll(start);
        drop(head.await.unwrap());
        here.drain().await;
        there.drain().await;
        assert!(nodes.iter().all(|node| node.inner().is_empty()));
    }
}
