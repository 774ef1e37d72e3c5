//! Holders that go away without a word.

use redsync::{
    Redsync,
    node::{Entry, Node},
};
use redsync_tests::{FaultyNode, Servers};
use tokio::time::{Duration, Instant, sleep, timeout};

use crate::{
    NAME, SOON, WAIT, assert_before_a_poll, drowsy, in_memory, ms, on_servers, process,
    process::Process, queue,
};

const EXPIRY: Duration = Duration::from_secs(2);

#[tokio::test]
#[ignore = "another test starts it as a child process"]
async fn child_process_that_holds_the_lock() {
    let Some(urls) = process::urls() else { return };
    let redsync = drowsy(Redsync::connect(urls).unwrap());
    let mut guard = redsync
        .mutex(NAME)
        .with_expiry(EXPIRY)
        .lock()
        .await
        .unwrap();
    guard.keep_alive();
    process::say("holds");
    std::future::pending::<()>().await;
}

#[tokio::test]
async fn a_waiter_is_woken_when_the_lock_of_a_killed_process_expires() {
    let servers = Servers::start(3);
    let [redsync] = on_servers(&servers);
    let mut holder = Process::start(
        "crashes::child_process_that_holds_the_lock",
        &servers.urls(),
    );
    assert_eq!(holder.said(), "holds");
    let waiter = tokio::spawn(redsync.mutex(NAME).lock_within(WAIT));
    // It has been extended since.
    sleep(2 * EXPIRY).await;
    assert!(!waiter.is_finished());
    holder.kill();
    let start = Instant::now();
    let guard = timeout(SOON, waiter).await.expect("it is woken");
    println!(
        "an expiry of {EXPIRY:?}: woken {:?} after the holder was killed",
        start.elapsed()
    );
    assert_before_a_poll(start);
    drop(guard.unwrap().unwrap());
}

#[tokio::test]
async fn a_waiter_is_woken_when_a_key_set_by_hand_expires() {
    let servers = Servers::start(3);
    let [redsync] = on_servers(&servers);
    for server in &servers {
        server.command(&["SET", NAME, "by-hand", "PX", "1500"]);
    }
    let start = Instant::now();
    let waiter = redsync.mutex(NAME).lock_within(WAIT);
    let guard = timeout(SOON, waiter).await.expect("it is woken");
    println!("an expiry of 1.5 s: woken after {:?}", start.elapsed());
    drop(guard.unwrap());
}

#[tokio::test(start_paused = true)]
async fn without_wake_ups_the_expiry_ends_the_wait() {
    let nodes: Vec<_> = (0..3).map(|_| FaultyNode::new()).collect();
    let redsync = drowsy(Redsync::new(nodes.clone()).unwrap());
    for (node, millis) in nodes.iter().zip([1000, 1500, 9000]) {
        let terms = Entry::new(NAME, "crashed".into(), ms(millis));
        node.inner().acquire(&terms).await.unwrap();
    }
    let start = Instant::now();
    drop(redsync.mutex(NAME).lock_within(WAIT).await.unwrap());
    let took = start.elapsed();
    assert!(took >= ms(1500) && took < ms(1600), "{took:?}");
}

/// The holder is in this process and does not go on, so no node is watched.
#[tokio::test(start_paused = true)]
async fn waiters_outlast_a_guard_of_this_process_that_is_never_released() {
    let ([redsync], _) = in_memory();
    let mutex = redsync.mutex(NAME).with_expiry(EXPIRY);
    for handed in [false, true] {
        let first = mutex.lock().await.unwrap();
        let second = tokio::spawn(queue(mutex.lock_within(WAIT)).await);
        let mut rest = Vec::new();
        for _ in 0..3 {
            rest.push(tokio::spawn(queue(mutex.lock_within(WAIT)).await));
        }
        sleep(if handed { ms(1) } else { ms(100) }).await;
        drop(first);
        let stuck = second.await.unwrap().unwrap();
        let start = Instant::now();
        for waiter in rest {
            let guard = waiter.await.unwrap().unwrap();
            assert!(stuck.is_lost());
            drop(guard);
        }
        let took = start.elapsed();
        assert!(took < 3 * EXPIRY, "{took:?}");
        drop(stuck);
        redsync.drain().await;
    }
}
