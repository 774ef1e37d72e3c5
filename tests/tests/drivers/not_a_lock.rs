//! Keys that are not locks: they are told apart from contention, and never changed.

use std::time::Duration;

use futures_util::future::join_all;
use redsync::{LockError, Mutex, Redsync, Vote};
use redsync_tests::{RedisServer, Servers};

const NAME: &str = "order:42";
const WAIT: Duration = Duration::from_secs(20);

/// Commands that make a key at [`NAME`] that is not a lock.
const FOREIGN: [&[&str]; 7] = [
    &["SET", NAME, "a cached page"],
    &["SET", NAME, ""],
    &["HSET", NAME, "total", "7"],
    &["RPUSH", NAME, "a"],
    &["SADD", NAME, "a"],
    &["XADD", NAME, "*", "a", "b"],
    &["ZADD", NAME, "1", "a"],
];

fn start() -> (Servers, Redsync) {
    let servers = Servers::start(3);
    let redsync = Redsync::connect(servers.urls()).unwrap();
    (servers, redsync)
}

fn dump(server: &RedisServer) -> (Option<Vec<u8>>, i64) {
    let dump = server.query(&["DUMP", NAME]);
    (dump, server.pttl(NAME))
}

fn every_kind(redsync: &Redsync) -> [Mutex; 4] {
    let mutex = redsync.mutex(NAME);
    [
        mutex.clone(),
        mutex.clone().shared(),
        mutex.with_fencing(true),
        redsync.mutex_many(["another", NAME]),
    ]
}

#[tokio::test]
async fn a_key_that_is_not_a_lock_is_an_error_that_names_the_key() {
    let (servers, redsync) = start();
    for command in FOREIGN {
        for server in &servers[..2] {
            server.flush();
            server.command(command);
        }
        servers[2].flush();
        let before = servers[..2].iter().map(dump).collect::<Vec<_>>();
        for mutex in every_kind(&redsync) {
            // It fails at once: nobody will release the key.
            for wait in [Duration::ZERO, WAIT] {
                let result = mutex.lock_within(wait).await;
                // So that the next attempt does not meet the key of this one on the third server.
                redsync.drain().await;
                let error = result.unwrap_err();
                assert!(
                    matches!(error, LockError::NotALock(_)),
                    "{command:?} {error}"
                );
                assert!(!error.is_contention());
                assert_eq!(error.key(), Some(NAME));
                let shown = error.to_string();
                assert!(
                    shown.starts_with("the key `order:42` is not a lock"),
                    "{shown}"
                );
            }
        }
        redsync.drain().await;
        assert_eq!(servers[..2].iter().map(dump).collect::<Vec<_>>(), before);
        assert!(servers[2].get(NAME).is_none());
    }
}

#[tokio::test]
async fn a_key_that_is_not_a_lock_on_a_minority_costs_its_vote_and_nothing_more() {
    let (servers, redsync) = start();
    for command in FOREIGN {
        servers[0].flush();
        servers[0].command(command);
        for mutex in every_kind(&redsync) {
            let guard = mutex.try_lock().await.unwrap();
            guard.release().await.unwrap();
        }
    }
    // Beside another holder, it is contention.
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    redsync.drain().await;
    let error = redsync.mutex(NAME).try_lock().await.unwrap_err();
    assert!(error.is_contention(), "{error}");
    assert_eq!(error.key(), None);
    guard.release().await.unwrap();
}

/// Each may meet the key of another on the third server.
#[tokio::test]
async fn simultaneous_attempts_all_learn_that_the_key_is_not_a_lock() {
    let (servers, redsync) = start();
    for server in &servers[..2] {
        server.command(FOREIGN[0]);
    }
    let mutex = redsync.mutex(NAME);
    for _ in 0..20 {
        for result in join_all((0..8).map(|_| mutex.try_lock())).await {
            let error = result.unwrap_err();
            assert!(matches!(error, LockError::NotALock(_)), "{error}");
        }
    }
}

#[tokio::test]
async fn a_counter_that_is_not_one_is_an_error_that_names_its_key() {
    let (servers, redsync) = start();
    let counter = format!("{{{NAME}}}:fence");
    for command in [
        ["SET", &counter, "a page"],
        ["SADD", &counter, "a"],
        ["SET", &counter, "007"],
        // Larger than any token, and larger than any number that a server counts to.
        ["SET", &counter, "9223372036854775807"],
        ["SET", &counter, "99999999999999999999"],
    ] {
        for server in &servers[..2] {
            server.flush();
            server.command(&command);
        }
        servers[2].flush();
        for wait in [Duration::ZERO, WAIT] {
            let mutex = redsync.mutex(NAME).with_fencing(true);
            let error = mutex.lock_within(wait).await.unwrap_err();
            redsync.drain().await;
            assert!(matches!(error, LockError::NotALock(_)), "{error}");
            assert_eq!(error.key(), Some(&*counter));
            let shown = error.to_string();
            let expected = format!("the key `{counter}` is not a counter");
            assert!(shown.contains(&expected), "{shown}");
        }
        for server in &servers[..2] {
            assert_eq!(server.keys(), [&*counter], "it is left as it was");
        }
        // Without fencing, the name can be locked.
        let guard = redsync.mutex(NAME).try_lock().await.unwrap();
        guard.release().await.unwrap();
        redsync.drain().await;
    }
}

#[tokio::test]
async fn locks_of_any_client_are_locks() {
    let (servers, redsync) = start();
    let other = Redsync::connect(servers.urls()).unwrap();
    let is_taken = async || {
        for mutex in every_kind(&redsync) {
            let error = mutex.try_lock().await.unwrap_err();
            assert!(matches!(error, LockError::Taken(_)), "{error}");
            for vote in error.votes().unwrap().iter() {
                assert!(!matches!(vote.vote(), Vote::NotALock { .. }), "{error}");
            }
        }
    };
    let [plain, _, fenced, several] = every_kind(&other);
    for mutex in [plain, fenced, several] {
        let guard = mutex.lock().await.unwrap();
        is_taken().await;
        guard.release().await.unwrap();
    }
    redsync.drain().await;
    other.drain().await;
    for server in servers.iter() {
        server.command(&["SET", NAME, "of a Go client", "NX", "PX", "60000"]);
    }
    is_taken().await;
    for server in servers.iter() {
        server.flush();
    }
    // A shared lock keeps exclusive ones out.
    let guard = other.mutex(NAME).shared().lock().await.unwrap();
    let error = redsync.mutex(NAME).try_lock().await.unwrap_err();
    assert!(matches!(error, LockError::Taken(_)), "{error}");
    guard.release().await.unwrap();
}

#[tokio::test]
async fn a_name_can_be_locked_when_the_key_is_gone() {
    let (servers, redsync) = start();
    for server in servers.iter() {
        server.command(&["SET", NAME, "a cached page"]);
    }
    let mutex = redsync.mutex(NAME);
    let error = mutex.lock().await.unwrap_err();
    assert!(matches!(error, LockError::NotALock(_)), "{error}");
    for server in servers.iter() {
        server.command(&["DEL", NAME]);
    }
    mutex.lock().await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn waiters_learn_that_the_key_is_not_a_lock() {
    let (servers, redsync) = start();
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    let waiters: Vec<_> = (0..3)
        .map(|_| {
            let mutex = redsync.mutex(NAME);
            tokio::spawn(async move { mutex.lock_within(WAIT).await })
        })
        .collect();
    tokio::task::yield_now().await;
    for server in servers.iter() {
        server.command(&["SET", NAME, "overwritten"]);
    }
    drop(guard);
    for waiter in waiters {
        match waiter.await.unwrap() {
            Err(LockError::NotALock(_)) => {}
            // It was handed over before the key was overwritten.
            Ok(guard) => drop(guard),
            Err(error) => panic!("{error}"),
        }
    }
}

/// A lock whose expiry an operator has removed by mistake is still a lock for its holder.
#[tokio::test]
async fn a_lock_without_its_expiry_is_still_extended_and_released_by_its_holder() {
    let (servers, redsync) = start();
    let guard = redsync.mutex(NAME).with_fail_fast(false).lock().await;
    let guard = guard.unwrap();
    for server in servers.iter() {
        server.command(&["PERSIST", NAME]);
    }
    let other = Redsync::connect(servers.urls()).unwrap();
    let error = other.mutex(NAME).try_lock().await.unwrap_err();
    assert!(matches!(error, LockError::NotALock(_)), "{error}");
    guard.extend().await.unwrap();
    redsync.drain().await;
    assert!(servers.iter().all(|server| server.pttl(NAME) > 0));
    let error = other.mutex(NAME).try_lock().await.unwrap_err();
    assert!(matches!(error, LockError::Taken(_)), "{error}");
    guard.release().await.unwrap();
    redsync.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn the_error_shows_the_key_on_one_line() {
    let (servers, redsync) = start();
    let name = "cart:1\n12:00 ERROR all is lost\u{1b}[31m";
    for server in servers.iter() {
        server.command(&["HSET", name, "a", "b"]);
    }
    let error = redsync.mutex(name).lock().await.unwrap_err();
    assert_eq!(error.key(), Some(name));
    let shown = error.to_string();
    assert!(!shown.contains(['\n', '\u{1b}']), "{shown:?}");
    assert!(shown.contains(r"cart:1\n12:00 ERROR"), "{shown}");
}
