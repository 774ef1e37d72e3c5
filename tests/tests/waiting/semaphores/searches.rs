//! Permits that become free while a waiter asks for the others: it does not leave them until its next poll. And
//! those that are handed over meanwhile: they pass it, unless it could miss its deadline.

use fastrand::Rng;
use redsync::{Guard, Redsync};
use redsync_tests::faulty::{Fault, Operation};
use tokio::time::{Instant, sleep};

use super::NAME;
use crate::{WAIT, Watched, drowsy, ms};

const PERMITS: usize = 3;

/// How long a node takes to answer an attempt. Watches take as long to begin, and as long to report.
const ANSWER: u64 = 5;

/// Longer than a search and a watch after it, and much less than a poll.
const SOON: u64 = 10 * ANSWER;

/// Two processes, of which the second holds all permits.
async fn taken(nodes: &[Watched]) -> ([Redsync; 2], Vec<Guard>) {
    let processes = [(); 2].map(|()| drowsy(Redsync::new(nodes.to_vec()).unwrap()));
    let mut held = Vec::new();
    for _ in 0..PERMITS {
        let guard = processes[1].semaphore(NAME, PERMITS).try_lock().await;
        held.push(guard.unwrap());
    }
    held.sort_by(|one, other| one.name().cmp(other.name()));
    (processes, held)
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_becomes_free_during_a_search_is_taken_whenever_that_is() {
    // The first search, the beginning of the watch after it, and a while of it.
    for released_after in 0..6 * ANSWER {
        for permit in 0..PERMITS {
            let nodes: [_; 3] = std::array::from_fn(|_| Watched {
                after: ms(ANSWER),
                ..Watched::new()
            });
            let ([here, _], mut held) = taken(&nodes).await;
            for node in &nodes {
                (node.node).always_on(Operation::Acquire, Fault::late_reply(ms(ANSWER)));
            }
            let waiter = tokio::spawn(here.semaphore(NAME, PERMITS).lock_within(WAIT));
            sleep(ms(released_after)).await;
            let (freed, start) = (held.remove(permit), Instant::now());
            let name = freed.name().to_owned();
            freed.release().await.unwrap();
            let guard = waiter.await.unwrap().unwrap();
            assert_eq!(guard.name(), name);
            let waited = start.elapsed();
            assert!(waited < ms(SOON), "{released_after} ms: {waited:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_becomes_free_while_others_change_hands_is_taken() {
    for seed in 0..200 {
        fastrand::seed(seed);
        let mut rng = Rng::with_seed(seed);
        let nodes: [_; 3] = std::array::from_fn(|_| Watched {
            after: ms(rng.u64(0..3)),
            ..Watched::new()
        });
        let ([here, there], mut held) = taken(&nodes).await;
        for node in &nodes {
            let mut rng = rng.fork();
            node.node.plan(move |_| {
                let late = |rng: &mut Rng| ms(rng.u64(0..ANSWER));
                Fault::late_request(late(&mut rng)).and_late_reply(late(&mut rng))
            });
        }
        let mut waiters: Vec<_> = (0..2)
            .map(|_| tokio::spawn(here.semaphore(NAME, PERMITS).lock_within(WAIT)))
            .collect();
        // Both race for each permit that is released.
        for _ in 0..rng.u8(..12) {
            sleep(ms(rng.u64(0..20))).await;
            if let Some(at) = held.len().checked_sub(1) {
                drop(held.swap_remove(rng.usize(..=at)));
            }
            held.extend(there.semaphore(NAME, PERMITS).try_lock().await);
        }
        sleep(ms(rng.u64(0..20))).await;
        let start = Instant::now();
        drop(held);
        for waiter in waiters.drain(..) {
            drop(waiter.await.unwrap().unwrap());
        }
        let waited = start.elapsed();
        assert!(waited < ms(400), "seed {seed}: {waited:?}");
    }
}

/// How long after the beginning of a search a permit is handed over, if the waiter that searches has this much
/// time in all. Returns whether the permit passes it.
async fn passes(handed_over_after: u64, time: u64) -> bool {
    let nodes: [_; 3] = std::array::from_fn(|_| Watched {
        after: ms(ANSWER),
        ..Watched::new()
    });
    let [here, there] = [(); 2].map(|()| drowsy(Redsync::new(nodes.to_vec()).unwrap()));
    for node in &nodes {
        (node.node).always_on(Operation::Acquire, Fault::late_reply(ms(ANSWER)));
    }
    // So it knows how long the nodes take.
    for _ in 0..50 {
        let guard = here.mutex("another").try_lock().await.unwrap();
        guard.release().await.unwrap();
    }
    let mutex = here.semaphore(NAME, 2).with_hand_over(u32::MAX, WAIT);
    let held = mutex.try_lock().await.unwrap();
    let _other = there.semaphore(NAME, 2).try_lock().await.unwrap();
    let first = tokio::spawn(mutex.lock_within(WAIT));
    sleep(ms(SOON)).await;
    let start = Instant::now() + ms(SOON);
    let searching = tokio::spawn(mutex.lock_until(start + ms(time)));
    sleep(ms(1)).await;
    let next = tokio::spawn(mutex.lock_within(WAIT));
    tokio::time::sleep_until(start).await;
    // It moves up, and asks whether another permit is free.
    first.abort();
    sleep(ms(handed_over_after)).await;
    drop(held);
    sleep(ms(1)).await;
    let passed = next.is_finished();
    assert_ne!(passed, searching.is_finished(), "one of them has it");
    next.abort();
    passed
}

#[tokio::test(start_paused = true)]
async fn a_permit_passes_a_waiter_that_searches_unless_its_search_could_end_too_late() {
    assert!(passes(1, 10 * ANSWER).await);
    assert!(passes(1, 3 * ANSWER).await);
    // It would search up to its deadline, and have nothing then.
    assert!(!passes(1, 2 * ANSWER).await);
    assert!(!passes(ANSWER + 1, 3 * ANSWER).await);
    assert!(!passes(1, 2).await);
}

/// The validity of the permit passes meanwhile.
#[tokio::test(start_paused = true)]
async fn a_search_ends_as_soon_as_a_permit_was_handed_over_to_the_waiter() {
    const MANY: usize = 16;
    // The first search, a pause, and the next search.
    let span = 2 * MANY as u64 * ANSWER + 100;
    for handed_over_after in MANY as u64 * ANSWER + 1..span {
        // They cannot be watched.
        let nodes: [_; 3] = std::array::from_fn(|_| Watched::new().node);
        let [here, there] = [(); 2].map(|()| {
            let process = Redsync::new(nodes.to_vec()).unwrap();
            let mutex = process.semaphore(NAME, MANY).with_expiry(WAIT);
            mutex.with_hand_over(u32::MAX, WAIT)
        });
        let waits = here.clone().with_retry_delay(ms(100));
        let held = here.try_lock().await.unwrap();
        let mut others = Vec::new();
        for _ in 1..MANY {
            others.push(there.try_lock().await.unwrap());
        }
        for node in &nodes {
            node.always_on(Operation::Acquire, Fault::late_reply(ms(ANSWER)));
        }
        let waiter = tokio::spawn(waits.lock_within(WAIT));
        sleep(ms(handed_over_after)).await;
        let start = Instant::now();
        drop(held);
        let guard = waiter.await.unwrap().unwrap();
        let waited = start.elapsed();
        assert!(
            waited <= ms(ANSWER),
            "{waited:?} after {handed_over_after} ms"
        );
        drop(guard);
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_searches_no_longer_than_usual_on_nodes_that_cannot_say_that_they_have_answered() {
    assert!(passes(2 * ANSWER - 1, 100 * ANSWER).await);
    assert!(!passes(2 * ANSWER + 1, 100 * ANSWER).await);
}
