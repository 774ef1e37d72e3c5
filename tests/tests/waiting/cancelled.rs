//! Waiters that go away, wherever they are.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex, mpsc},
    task::{Context, Poll, Wake, Waker},
    thread,
    time::Duration,
};

use redsync::{LockError, Redsync};
use redsync_tests::{
    Servers,
    faulty::{Fault, Operation},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    NAME, SOON, WAIT, Waiter, Watched, assert_before_a_poll, drowsy, got, in_memory, ms, poll_once,
    queue, waiting,
};

/// Polls a future this number of times, each time it is woken, and drops it. Returns whether it had ended
/// by then.
pub(crate) async fn poll_and_drop<T>(polls: usize, future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Some(value)),
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn the_next_waiter_is_woken_if_the_head_is_dropped_while_it_watches() {
    let ([here, there], _) = in_memory();
    let held = there.mutex(NAME).lock().await.unwrap();
    let mutex = here.mutex(NAME);
    let head = tokio::spawn(mutex.lock_within(WAIT));
    sleep(ms(1)).await;
    let next = tokio::spawn(queue(mutex.lock_within(WAIT)).await);
    sleep(ms(1)).await;
    head.abort();
    sleep(ms(1)).await;
    let start = Instant::now();
    drop(held);
    drop(next.await.unwrap().unwrap());
    assert_before_a_poll(start);
    assert!(!waiting(&mutex, 1).await);
}

#[tokio::test(start_paused = true)]
async fn a_lock_handed_to_a_waiter_that_is_dropped_goes_to_the_next() {
    let ([redsync], _) = in_memory();
    let mutex = redsync.mutex(NAME).with_fencing(true);
    let held = mutex.lock().await.unwrap();
    let mut waiters = Vec::new();
    for _ in 0..5 {
        waiters.push(queue(mutex.lock_within(WAIT)).await);
    }
    let token = held.fencing_token().unwrap().get();
    let start = Instant::now();
    drop(held);
    // Each has it, and does not know yet.
    for waiter in waiters.drain(..4) {
        drop(waiter);
    }
    let guard = got(poll_once(&mut waiters[0]).await);
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert_eq!(guard.fencing_token().unwrap().get(), token + 5);
}

#[tokio::test(start_paused = true)]
async fn a_lock_handed_to_the_last_waiter_is_released_if_it_is_dropped() {
    let ([redsync], nodes) = in_memory();
    let mutex = redsync.mutex(NAME);
    let held = mutex.lock().await.unwrap();
    let waiter = queue(mutex.lock_within(WAIT)).await;
    drop(held);
    drop(waiter);
    redsync.drain().await;
    assert!(nodes.iter().all(redsync::node::MemoryNode::is_empty));
}

#[tokio::test(start_paused = true)]
async fn the_next_waiter_acquires_the_lock_if_the_head_is_dropped_during_an_attempt() {
    let nodes: Vec<_> = (0..3).map(|_| Watched::new()).collect();
    let process = || drowsy(Redsync::new(nodes.clone()).unwrap());
    let (here, there) = (process(), process());
    let held = there.mutex(NAME).lock().await.unwrap();
    let mutex = here.mutex(NAME);
    let head = tokio::spawn(mutex.lock_within(WAIT));
    sleep(ms(1)).await;
    let next = tokio::spawn(mutex.lock_within(WAIT));
    sleep(ms(1)).await;
    for watched in &nodes {
        watched.node.once(
            Operation::Acquire,
            Fault::late_request(ms(40)).and_late_reply(ms(40)),
        );
    }
    let tries = || nodes[0].node.sent(Operation::Acquire).len();
    let before = tries();
    let start = Instant::now();
    drop(held);
    sleep(ms(20)).await;
    assert_eq!(tries(), before + 1);
    head.abort();
    drop(next.await.unwrap().unwrap());
    assert_before_a_poll(start);
}

/// The head is dropped after any number of polls, and the next gets the lock all the same: from
/// another process or from this one, from nodes that take their time.
#[tokio::test(start_paused = true)]
async fn the_next_waiter_acquires_the_lock_wherever_the_head_is_dropped() {
    for from_here in [false, true] {
        for after in [0, 1, 30] {
            dropped_after_each_poll(from_here, ms(after)).await;
        }
    }
}

async fn dropped_after_each_poll(from_here: bool, after: Duration) {
    for polls in 0..300 {
        let nodes: Vec<_> = (0..3)
            .map(|_| Watched {
                after,
                ..Watched::new()
            })
            .collect();
        for (index, watched) in (1..).zip(&nodes) {
            let late = Fault::late_request(ms(index)).and_late_reply(ms(2 * index));
            watched.node.plan(move |_: Operation| late.clone());
        }
        let process = || {
            let redsync = drowsy(Redsync::new(nodes.clone()).unwrap());
            redsync
                .with_defaults(|mutex| mutex.with_hand_over(9, ms(500)))
                .unwrap()
        };
        let (here, there) = (process(), process());
        let mutex = here.mutex(NAME);
        let holder = if from_here { &here } else { &there };
        let held = holder.mutex(NAME).lock().await.unwrap();
        let head = tokio::spawn(poll_and_drop(polls, mutex.lock_within(WAIT)));
        sleep(ms(50)).await;
        let next = tokio::spawn(mutex.lock_within(WAIT));
        sleep(ms(50)).await;
        let start = Instant::now();
        drop(held);
        let first = head.await.unwrap().map(|first| first.expect("a lock"));
        let ended = first.is_some();
        drop(first);
        drop(next.await.unwrap().expect("a lock"));
        assert_before_a_poll(start);
        here.drain().await;
        assert!(
            nodes.iter().all(|watched| watched.node.inner().is_empty()),
            "after {polls} polls"
        );
        if ended {
            assert!(polls > 2);
            return;
        }
    }
    panic!("it never ends");
}

/// Threads wait, hold, hand over and leave at any moment. If a notice is lost, the test hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn waiters_may_be_dropped_at_any_moment_on_several_threads() {
    let redsync = drowsy(Redsync::in_memory(3));
    let mutex = Arc::new(redsync.mutex(NAME));
    let inside = Arc::new(std::sync::Mutex::new(()));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let (mutex, inside) = (Arc::clone(&mutex), Arc::clone(&inside));
        tasks.spawn(async move {
            let mut got = 0;
            for round in 0..1500 {
                let lock = mutex.lock_within(WAIT);
                let limit = Duration::from_micros(fastrand::u64(1..400));
                let guard = match round % 3 {
                    0 => Some(lock.await),
                    // Dropped by a timer, or after some polls.
                    1 => timeout(limit, lock).await.ok(),
                    _ => poll_and_drop(fastrand::usize(1..5), lock).await,
                };
                let Some(guard) = guard else { continue };
                let guard = guard.expect("a lock");
                let alone = inside.try_lock().expect("alone");
                assert!(!guard.is_lost());
                drop(alone);
                got += 1;
                match round % 4 {
                    0 => drop(guard),
                    1 => drop(guard.release()),
                    _ => drop(guard.release().await),
                }
            }
            got
        });
    }
    let got = timeout(SOON, tasks.join_all())
        .await
        .expect("a lost notice");
    println!(
        "8 tasks, {} locks, 12000 tries to lock: {:?}",
        got.iter().sum::<i32>(),
        start.elapsed()
    );
    assert!(!waiting(&mutex, 1).await);
    let again = mutex.try_lock().await;
    assert!(
        matches!(again, Ok(_) | Err(LockError::Taken(_))),
        "{again:?}"
    );
}

/// A runtime that is shut down with a queue, and a guard that outlives it.
#[test]
fn a_queue_goes_on_when_the_runtime_of_its_waiters_is_shut_down() {
    let redsync = drowsy(Redsync::in_memory(3));
    let mutex = redsync.mutex(NAME);
    let runtime = || {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap()
    };
    let first = runtime();
    let guard = first.block_on(async {
        let guard = mutex.lock().await.unwrap();
        for _ in 0..100 {
            tokio::spawn(mutex.lock_within(WAIT));
        }
        crate::until_waiting(&mutex, 100).await;
        guard
    });
    drop(first);
    // Outside of any runtime, to one who waits in another.
    let second = runtime();
    let waiter = second.spawn(mutex.lock_within(WAIT));
    second.block_on(crate::until_waiting(&mutex, 1));
    drop(guard);
    let limited = async { timeout(SOON, waiter).await };
    let guard = second.block_on(limited).unwrap().unwrap().unwrap();
    // It goes down while locks are handed about.
    for _ in 0..100 {
        let mutex = mutex.clone();
        second.spawn(async move {
            loop {
                drop(mutex.lock_within(WAIT).await);
            }
        });
    }
    drop(guard);
    second.block_on(async { while !waiting(&mutex, 50).await {} });
    drop(second);
    assert!(!runtime().block_on(waiting(&mutex, 1)));
}

/// The nodes are asked to release the lock, and nobody here notes their answer.
#[tokio::test]
async fn a_release_that_nobody_polls_delays_the_next_waiter_by_a_poll() {
    let servers = Servers::start(3);
    let [redsync] = crate::on_servers(&servers);
    let mutex = (redsync.mutex(NAME))
        .with_hand_over(0, Duration::ZERO)
        .with_retry_delay(ms(100));
    let held = mutex.lock().await.unwrap();
    let waiter = tokio::spawn(mutex.lock_within(WAIT));
    crate::until_waiting(&mutex, 1).await;
    let release = held.release();
    let start = Instant::now();
    drop(waiter.await.unwrap().unwrap());
    assert_before_a_poll(start);
    drop(release);
}

#[tokio::test(start_paused = true)]
async fn a_head_that_nobody_polls_keeps_others_waiting_up_to_their_last_poll() {
    let ([here, there], _) = in_memory();
    let held = there.mutex(NAME).lock().await.unwrap();
    let head = queue(here.mutex(NAME).lock_within(WAIT)).await;
    let behind = here.mutex(NAME).lock_within(ms(500));
    let behind = tokio::spawn(queue(behind).await);
    held.release().await.unwrap();
    let start = Instant::now();
    drop(behind.await.unwrap().unwrap());
    assert!(start.elapsed() <= ms(510), "{:?}", start.elapsed());
    drop(head);
}

/// Drops a waiter when it is woken.
struct Leaves(Mutex<Option<Waiter>>);

impl Wake for Leaves {
    fn wake(self: Arc<Self>) {
        drop(self.0.lock().unwrap().take());
    }
}

#[tokio::main(flavor = "current_thread")]
async fn leave_when_woken_by_a_hand_over() {
    let ([redsync], _) = in_memory();
    let mutex = redsync.mutex(NAME);
    let held = mutex.lock().await.unwrap();
    let mut next = queue(mutex.lock_within(WAIT)).await;
    let last = queue(mutex.lock_within(WAIT)).await;
    let waker = Waker::from(Arc::new(Leaves(Mutex::new(Some(last)))));
    let mut lost = pin!(held.lost());
    let polled = lost.as_mut().poll(&mut Context::from_waker(&waker));
    assert!(polled.is_pending());
    drop(held);
    drop(got(poll_once(&mut next).await));
    assert!(waiting(&mutex, 0).await);
}

#[test]
fn a_task_that_is_woken_by_a_hand_over_may_leave_the_queue_at_once() {
    // On a thread of its own, which would otherwise wait for itself.
    let (done, is_done) = mpsc::channel();
    thread::spawn(move || {
        leave_when_woken_by_a_hand_over();
        done.send(()).unwrap();
    });
    assert!(is_done.recv_timeout(SOON).is_ok());
}
