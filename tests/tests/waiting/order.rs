//! The order of service in one process.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex as StdMutex},
};

use futures_util::future::{Either, select, select_all};
use redsync::{Guard, LockError, Mutex, Redsync, future::Lock};
use redsync_tests::Servers;
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep},
};

use crate::{
    NAME, SOON, WAIT, in_memory, ms, on_servers, poll_once, queue, until_waiting, waiting,
};

/// The same wish with different limits.
fn lock(mutex: &Mutex, number: usize) -> Lock {
    match number % 4 {
        0 => mutex.lock_within(WAIT),
        1 => mutex.clone().with_tries(1000).lock(),
        2 => mutex.lock_until(Instant::now() + 2 * WAIT),
        _ => mutex.lock_within(Duration::MAX),
    }
}

#[derive(Clone, Default)]
struct Served(Arc<StdMutex<Vec<usize>>>);

impl Served {
    fn note(&self, number: usize) {
        self.0.lock().expect("no panic").push(number);
    }

    #[track_caller]
    fn assert_in_order(&self, count: usize) {
        let served = self.0.lock().expect("no panic");
        assert_eq!(*served, (0..count).collect::<Vec<_>>());
    }
}

/// Given up in different ways, after different times: handed over, or released and found free.
async fn hold(guard: Guard, number: usize) {
    sleep(ms([0, 1, 70, 3][number % 4])).await;
    match number % 3 {
        0 => drop(guard),
        1 => drop(guard.release()),
        _ => drop(guard.release().await.expect("an answer")),
    }
}

#[tokio::test(start_paused = true)]
async fn the_first_waiter_is_served_first_whatever_its_limit() {
    let ([redsync], _) = in_memory();
    let mutex = redsync.mutex(NAME);
    for hand_overs in [100_000, 0, 3] {
        let mutex = mutex.clone().with_hand_over(hand_overs, ms(50));
        let first = mutex.lock().await.unwrap();
        let served = Served::default();
        let mut tasks = JoinSet::new();
        for number in 0..50 {
            let waiter = queue(lock(&mutex, number)).await;
            let served = served.clone();
            tasks.spawn(async move {
                let guard = waiter.await.expect("a lock");
                served.note(number);
                hold(guard, number).await;
            });
        }
        let start = Instant::now();
        drop(first);
        tasks.join_all().await;
        served.assert_in_order(50);
        crate::assert_before_a_poll(start);
    }
}

/// Each time a newcomer joins, when the lock is about to be released or has just been released.
async fn newcomers(redsync: &Redsync, hand_overs: u32, count: usize) {
    let mutex = redsync.mutex(NAME).with_hand_over(hand_overs, ms(50));
    let mut guard = mutex.lock().await.expect("a lock");
    let mut waiters = VecDeque::new();
    for number in 0..5 {
        let mut waiter = Box::pin(lock(&mutex, number));
        // The first makes an attempt before it joins.
        while !waiting(&mutex, number + 1).await {
            assert!(poll_once(&mut waiter).await.is_pending());
            sleep(ms(1)).await;
        }
        waiters.push_back(waiter);
    }
    for number in 5..count {
        let mut release = Box::pin(guard.release());
        let newcomer_first = number % 2 == 0;
        if newcomer_first {
            waiters.push_back(queue(lock(&mutex, number)).await);
        }
        let released = poll_once(&mut release).await;
        if !newcomer_first {
            // The lock may be free by now, or on its way.
            waiters.push_back(queue(lock(&mutex, number)).await);
        }
        let next = waiters.pop_front().expect("a waiter");
        // The others are awake, too.
        let (next, others) = match select(next, select_all(waiters)).await {
            Either::Left((guard, others)) => (guard, others.into_inner()),
            Either::Right(((_, place, _), _)) => panic!("{place} has overtaken"),
        };
        waiters = others.into();
        guard = next.expect("a lock");
        if released.is_pending() {
            release.await.expect("an answer");
        }
    }
    drop(waiters);
    drop(guard);
    redsync.drain().await;
}

#[tokio::test(start_paused = true)]
async fn newcomers_do_not_overtake() {
    for hand_overs in [100_000, 0] {
        let ([redsync], _) = in_memory();
        newcomers(&redsync, hand_overs, 40).await;
    }
}

#[tokio::test]
async fn the_first_waiter_is_served_first_on_servers() {
    let servers = Servers::start(3);
    let [redsync] = on_servers(&servers);
    newcomers(&redsync, 100_000, 40).await;
    newcomers(&redsync, 0, 40).await;

    let mutex = redsync.mutex(NAME);
    let first = mutex.lock().await.unwrap();
    let served = Served::default();
    let mut tasks = JoinSet::new();
    for number in 0..16 {
        let (waiter, served) = (lock(&mutex, number), served.clone());
        tasks.spawn(async move {
            let guard = waiter.await.expect("a lock");
            served.note(number);
            hold(guard, number).await;
        });
        until_waiting(&mutex, number + 1).await;
    }
    let start = Instant::now();
    first.release().await.unwrap();
    tasks.join_all().await;
    served.assert_in_order(16);
    assert!(start.elapsed() < SOON, "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_single_attempt_does_not_queue() {
    let ([redsync], _) = in_memory();
    let mutex = redsync.mutex(NAME);
    let held = mutex.lock().await.unwrap();
    let waiter = queue(mutex.lock()).await;
    let start = Instant::now();
    let refused = mutex.try_lock().await;
    assert!(matches!(refused, Err(LockError::Taken(_))), "{refused:?}");
    let refused = mutex.lock_within(Duration::ZERO).await;
    assert!(
        matches!(refused, Err(LockError::TimedOut(_))),
        "{refused:?}"
    );
    assert_eq!(start.elapsed(), Duration::ZERO);
    drop(held);
    drop(waiter.await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn waiters_at_the_end_leave_when_their_time_is_over() {
    let ([redsync], _) = in_memory();
    let mutex = redsync.mutex(NAME);
    let _held = mutex.lock().await.unwrap();
    let start = Instant::now();
    let waiters: Vec<_> = [700, 30, 400]
        .map(|millis| mutex.lock_within(ms(millis)))
        .into();
    let mut ends = Vec::new();
    let mut tasks = JoinSet::new();
    for waiter in waiters {
        let waiter = queue(waiter).await;
        tasks.spawn(async move {
            let refused = waiter.await;
            assert!(matches!(refused, Err(LockError::TimedOut(_))));
            start.elapsed()
        });
    }
    while let Some(end) = tasks.join_next().await {
        ends.push(end.unwrap());
    }
    let close = |end: Duration, limit| end >= limit && end < limit + ms(5);
    assert!(
        close(ends[0], ms(30)) && close(ends[1], ms(400)) && close(ends[2], ms(700)),
        "{ends:?}"
    );
}
