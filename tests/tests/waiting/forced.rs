//! Locks that are taken from their holders by force while others wait: when the waiters of the holder's
//! process act, and what a hand-over passes on.

mod at_random;

use redsync::{ExtendError, Guard, Inspection, LockError, Mutex, Redsync, Released};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::{NAME, WAIT, assert_before_a_poll, got, in_memory, ms, poll_once, queue};

/// Whether every node has released a holder.
fn is_taken(released: &[Inspection]) -> bool {
    let mut nodes = released.iter();
    nodes.all(|node| matches!(&node.holders, Ok(holders) if !holders.is_empty()))
}

/// A holder, and a waiter that leaves the nodes alone because the holder was in the queue before it.
async fn holder_and_waiter(mutex: &Mutex) -> (Guard, JoinHandle<Result<Guard, LockError>>) {
    let first = mutex.lock().await.unwrap();
    let second = queue(mutex.lock_within(WAIT)).await;
    let third = tokio::spawn(queue(mutex.lock_within(WAIT)).await);
    drop(first);
    (second.await.unwrap(), third)
}

#[tokio::test(start_paused = true)]
async fn a_waiter_acts_as_soon_as_the_holder_of_its_process_notices_the_loss() {
    let ([here, there], _) = in_memory();
    for kind in [
        |redsync: &Redsync| redsync.mutex(NAME),
        |redsync: &Redsync| redsync.mutex_many([NAME, "order:43"]),
        |redsync: &Redsync| redsync.semaphore(NAME, 1),
    ] {
        for by_extension in [false, true] {
            let mutex = kind(&here);
            let (guard, waiter) = holder_and_waiter(&mutex).await;
            assert!(is_taken(&kind(&there).force_release().await.unwrap()));
            sleep(ms(100)).await;
            assert!(!waiter.is_finished());
            if by_extension {
                let error = guard.extend().await.unwrap_err();
                assert!(matches!(error, ExtendError::Lost(_)), "{error}");
            } else {
                assert!(!guard.verify().await.unwrap());
            }
            let start = Instant::now();
            let next = waiter.await.unwrap().unwrap();
            assert_before_a_poll(start);
            // The one who has lost the lock has not even left.
            assert_eq!(guard.release().await.unwrap(), Released::AlreadyLost);
            assert!(next.verify().await.unwrap());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiter_acts_as_soon_as_an_extension_in_the_background_finds_the_loss() {
    let ([here, there], _) = in_memory();
    let mutex = here.mutex(NAME);
    let (mut guard, waiter) = holder_and_waiter(&mutex).await;
    guard.keep_alive();
    let start = Instant::now();
    there.mutex(NAME).force_release().await.unwrap();
    let next = waiter.await.unwrap().unwrap();
    // After a third of the expiry, and before the next poll, which is after two minutes.
    let waited = start.elapsed();
    assert!(waited > ms(90_000) && waited < ms(110_000), "{waited:?}");
    assert!(guard.is_lost());
    drop(next);
}

#[tokio::test(start_paused = true)]
async fn a_lock_whose_loss_is_not_noticed_is_handed_over_and_the_next_holder_finds_it() {
    let ([here, there], _) = in_memory();
    let mutex = here.mutex(NAME);
    let guard = mutex.lock().await.unwrap();
    let mut waiter = queue(mutex.lock_within(WAIT)).await;
    there.mutex(NAME).force_release().await.unwrap();
    let elsewhere = there.mutex(NAME).lock().await.unwrap();
    // It does not ask the nodes.
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    let next = got(poll_once(&mut waiter).await);
    assert!(!next.is_lost());
    assert!(!next.verify().await.unwrap());
    // A loss that was noticed is not handed over.
    let mut waiter = queue(mutex.lock_within(WAIT)).await;
    assert_eq!(next.release().await.unwrap(), Released::AlreadyLost);
    assert!(poll_once(&mut waiter).await.is_pending());
    // Nobody has touched the other's lock.
    assert!(elsewhere.verify().await.unwrap());
    elsewhere.release().await.unwrap();
    drop(waiter.await.unwrap());
}
