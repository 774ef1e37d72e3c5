//! Locks that an administrator takes from their holders, on servers: what is gone, what stays, and what the
//! holders and the waiters find.

use std::{collections::HashSet, convert::Infallible, sync::Arc, time::Duration};

use redsync::{ExtendError, FencingToken, Inspection, LockError, Mutex, Redsync};
use redsync_tests::{Servers, wait::until};
use tokio::{task::JoinSet, time::timeout};

use crate::patient;

const SOON: Duration = Duration::from_secs(30);

/// Longer than any wait here.
const LONG: Duration = Duration::from_secs(600);

fn start() -> (Servers, Redsync, Redsync) {
    let servers = Servers::start(3);
    let process = || {
        let redsync = patient(Redsync::connect(servers.urls()).unwrap());
        let redsync = redsync.with_defaults(|mutex| {
            mutex
                .with_fail_fast(false)
                .with_owner_label(|| Ok::<_, Infallible>("web-7".to_owned()))
        });
        redsync.unwrap()
    };
    let (holder, administrator) = (process(), process());
    (servers, holder, administrator)
}

/// How many holders each node has released; [`None`] if it failed.
fn counts(released: &[Inspection]) -> Vec<Option<usize>> {
    let count = |node: &Inspection| node.holders.as_ref().ok().map(Vec::len);
    released.iter().map(count).collect()
}

#[tokio::test]
async fn exclusive_and_shared_holders_and_all_permits_are_released_on_all_nodes() {
    let (servers, here, there) = start();
    let shared = |redsync: &Redsync| redsync.mutex("a").shared();
    let plain = |redsync: &Redsync| redsync.mutex("a");
    let several = |redsync: &Redsync| redsync.mutex_many(["a", "b"]);
    let semaphore = |redsync: &Redsync| redsync.semaphore("a", 2);
    let kinds: [(&dyn Fn(&Redsync) -> Mutex, usize); 4] =
        [(&plain, 1), (&shared, 2), (&several, 1), (&semaphore, 2)];
    for (mutex, holders) in kinds {
        let mut guards = Vec::new();
        for _ in 0..holders {
            guards.push(mutex(&here).lock().await.unwrap());
        }
        let keys = mutex(&here).keys().count();
        let released = mutex(&there).force_release().await.unwrap();
        assert_eq!(counts(&released), [Some(holders.max(keys)); 3]);
        for holder in released
            .iter()
            .flat_map(|node| node.holders.iter().flatten())
        {
            assert_eq!(holder.label.as_deref(), Some("web-7"));
            assert!(!format!("{holder:?}").contains(guards[0].expose_value().as_str()));
        }
        assert!(servers.iter().all(|server| server.keys().is_empty()));
        for guard in &guards {
            assert!(!guard.verify().await.unwrap());
            assert!(guard.is_lost());
        }
    }
    // There is nothing left to release.
    let released = there.mutex("a").force_release().await.unwrap();
    assert_eq!(counts(&released), [Some(0); 3]);
}

#[tokio::test]
async fn the_next_extension_finds_the_loss_and_says_why() {
    let (_servers, here, there) = start();
    let guard = here.mutex("a").lock().await.unwrap();
    there.mutex("a").force_release().await.unwrap();
    let next = there.mutex("a").lock().await.unwrap();
    let error = guard.extend().await.unwrap_err();
    assert!(matches!(error, ExtendError::Lost(Some(_))), "{error}");
    assert!(error.to_string().contains("another"), "{error}");
    assert!(guard.is_lost());
    // The late release of the first holder does not touch the next.
    drop(guard);
    here.drain().await;
    assert!(next.verify().await.unwrap());
}

#[tokio::test]
async fn a_guard_that_is_kept_alive_finds_the_loss_by_itself() {
    let (_servers, here, there) = start();
    let mutex = here.mutex("a").with_expiry(Duration::from_secs(6));
    let mut guard = mutex.lock().await.unwrap();
    guard.keep_alive();
    there.mutex("a").force_release().await.unwrap();
    timeout(SOON, guard.lost()).await.expect("it is noticed");
    // By an extension, and not only by the end of the validity.
    let error = guard.extend().await.unwrap_err();
    assert!(matches!(error, ExtendError::Lost(Some(_))), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_of_another_process_gets_the_lock() {
    let (servers, here, there) = start();
    // The waiter asks again when the lock would expire.
    let _guard = here.mutex("a").with_expiry(LONG).lock().await.unwrap();
    // A waiter does not watch a server that it gets before the holder.
    here.drain().await;
    let mutex = there.mutex("a").with_expiry(LONG).with_retry_delay(LONG);
    let waiter = tokio::spawn(mutex.lock_within(LONG));
    for server in &servers {
        until("the server would report a change", SOON, || {
            server.info("tracking_total_keys") > 0
        });
    }
    // Asked by a third, for which there are no waiters.
    let third = Redsync::connect(servers.urls()).unwrap();
    third.mutex("a").force_release().await.unwrap();
    let guard = timeout(SOON, waiter).await.expect("it is woken");
    drop(guard.unwrap().unwrap());
}

#[tokio::test]
async fn fencing_tokens_go_on_growing() {
    let (_servers, here, there) = start();
    let mutex = |redsync: &Redsync| redsync.mutex("a").with_fencing(true);
    let first = mutex(&here).lock().await.unwrap();
    mutex(&there).force_release().await.unwrap();
    let second = mutex(&there).lock().await.unwrap();
    assert!(second.fencing_token() > first.fencing_token());
}

#[tokio::test]
async fn a_node_that_cannot_be_reached_is_reported_and_a_key_that_is_not_a_lock_stays() {
    let (servers, here, there) = start();
    let guard = here.mutex("a").lock().await.unwrap();
    servers[0].kill();
    let released = there.mutex("a").force_release().await.unwrap();
    assert_eq!(counts(&released), [None, Some(1), Some(1)]);
    assert!(!guard.verify().await.unwrap());

    servers[1].command(&["SET", "b", "data"]);
    servers[2].command(&["RPUSH", "b", "data"]);
    let released = there.mutex("b").force_release().await.unwrap();
    assert_eq!(counts(&released), [None, Some(0), Some(0)]);
    assert!(servers[1..].iter().all(|server| server.keys() == ["b"]));
    let refused = there.mutex("b").try_lock().await;
    assert!(
        matches!(refused, Err(LockError::NotALock(_))),
        "{refused:?}"
    );
}

/// A resource that refuses what has a smaller token than it has seen. Each lock writes once.
#[derive(Default)]
struct Resource {
    last: Option<FencingToken>,
    accepted: u32,
    tokens: HashSet<u64>,
}

impl Resource {
    fn write(&mut self, token: Option<FencingToken>) {
        let number = token.expect("the lock is fenced").get();
        assert!(self.tokens.insert(number), "two have the token {number}");
        if token > self.last {
            self.last = token;
            self.accepted += 1;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_locks_are_taken_all_the_time_everybody_gets_one_and_nothing_is_left() {
    let (servers, here, there) = start();
    let mutex = |redsync: &Redsync| {
        let mutex = redsync.mutex("a").with_fencing(true);
        // A waiter that is not woken is seen to hang.
        mutex.with_expiry(LONG).with_retry_delay(LONG)
    };
    let resource = Arc::<std::sync::Mutex<Resource>>::default();
    let mut clients = JoinSet::new();
    for client in 0..8 {
        let mutex = mutex(if client % 2 == 0 { &here } else { &there });
        let resource = Arc::clone(&resource);
        clients.spawn(async move {
            for round in 0..20 {
                let waiting = timeout(SOON, mutex.lock_within(LONG));
                let guard = waiting.await.expect("it is woken").unwrap();
                tokio::task::yield_now().await;
                resource.lock().unwrap().write(guard.fencing_token());
                match (client + round) % 3 {
                    0 => drop(guard),
                    1 => drop(guard.release().await.unwrap()),
                    _ => assert_eq!(guard.verify().await.unwrap(), !guard.is_lost()),
                }
            }
        });
    }
    let third = Redsync::connect(servers.urls()).unwrap();
    let [one, other] = [mutex(&third), mutex(&third)];
    let mut taken = 0;
    while !clients.is_empty() {
        // Two of them at once.
        let (one, other) = tokio::join!(one.force_release(), other.force_release());
        for released in [one.unwrap(), other.unwrap()] {
            taken += counts(&released).into_iter().flatten().sum::<usize>();
        }
        while let Some(ended) = clients.try_join_next() {
            ended.unwrap();
        }
    }
    println!(
        "{taken} keys were taken; {} of 160 writes were accepted",
        resource.lock().unwrap().accepted
    );
    assert!(taken > 0);
    here.drain().await;
    there.drain().await;
    for server in &servers {
        assert_eq!(server.keys(), ["{a}:fence"]);
    }
}
