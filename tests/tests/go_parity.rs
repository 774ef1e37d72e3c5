//! The checks of go-redsync's own test suite, with the same number of servers.

use std::{
    collections::HashSet,
    convert::Infallible,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use redsync::{ExtendError, Guard, LockError, Redsync, Released};
use redsync_tests::{RedisServer, Servers, wait};
use tokio::{task::JoinSet, time::sleep};

const NAME: &str = "test-mutex";

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A client of all servers, with a generous time limit. It waits for all answers, so that the tests
/// know which servers have the key.
fn redsync(servers: &[RedisServer]) -> Redsync {
    Redsync::connect(servers.iter().map(RedisServer::url))
        .and_then(|redsync| {
            redsync.with_defaults(|mutex| {
                mutex
                    .with_node_timeout(Duration::from_secs(4))
                    .with_fail_fast(false)
                    .with_retry_delay_range(ms(5)..ms(30))
            })
        })
        .expect("a configuration that works")
}

/// How many servers hold the name for this guard.
fn held(servers: &Servers, guard: &Guard) -> usize {
    let holders = servers.holders(guard.name());
    let ours = Some(guard.expose_value().as_str());
    let held = holders.iter().filter(|holder| holder.as_deref() == ours);
    held.count()
}

#[tokio::test]
async fn eight_contenders_acquire_the_lock_one_after_the_other_each_on_a_majority() {
    let servers = Arc::new(Servers::start(8));
    let redsync = redsync(&servers);
    let inside = Arc::new(AtomicU32::new(0));
    let mut contenders = JoinSet::new();
    for _ in 0..8 {
        let (redsync, servers, inside) = (redsync.clone(), servers.clone(), inside.clone());
        contenders.spawn(async move {
            let mutex = redsync.mutex(NAME).with_fail_fast(true);
            let guard = mutex.lock_within(Duration::from_secs(60)).await.unwrap();
            assert_eq!(inside.fetch_add(1, Ordering::SeqCst), 0);
            assert!(held(&servers, &guard) > 4);
            inside.fetch_sub(1, Ordering::SeqCst);
            assert_eq!(guard.release().await.unwrap(), Released::Held);
        });
    }
    while let Some(result) = contenders.join_next().await {
        result.unwrap();
    }
    redsync.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn a_second_contender_finds_the_lock_taken() {
    let servers = Servers::start(4);
    let (first, second) = (redsync(&servers), redsync(&servers));
    let guard = first.mutex(NAME).try_lock().await.unwrap();
    let error = second.mutex(NAME).try_lock().await.unwrap_err();
    assert!(matches!(error, LockError::Taken(_)), "{error:?}");
    assert_eq!(error.votes().unwrap().iter().count(), 4);
    let _other = second.mutex("another").try_lock().await.unwrap();
    guard.release().await.unwrap();
    first.drain().await;
    second.drain().await;
    let _guard = second.mutex(NAME).try_lock().await.unwrap();
}

#[tokio::test]
async fn a_lock_is_acquired_if_a_majority_is_free_whichever_servers_are_taken() {
    let servers = Servers::start(4);
    let redsync = redsync(&servers);
    let mutex = redsync.mutex(NAME);
    for mask in 0..16_u32 {
        let is_taken = |index: &usize| mask & (1 << index) != 0;
        let taken: Vec<_> = (0..4).filter(is_taken).collect();
        for index in &taken {
            servers[*index].command(&["SET", NAME, "foobar", "PX", "60000"]);
        }
        let result = mutex.try_lock().await;
        if taken.len() > 1 {
            assert!(matches!(result, Err(LockError::Taken(_))), "{result:?}");
        } else {
            let guard = result.unwrap();
            assert_eq!(held(&servers, &guard), 4 - taken.len());
            assert_eq!(guard.release().await.unwrap(), Released::Held);
        }
        redsync.drain().await;
        for (index, holder) in servers.holders(NAME).into_iter().enumerate() {
            let expected = is_taken(&index).then_some("foobar");
            assert_eq!(holder.as_deref(), expected, "{mask:04b}");
        }
        for index in taken {
            servers[index].command(&["DEL", NAME]);
        }
        let guard = mutex.try_lock().await.unwrap();
        assert_eq!(held(&servers, &guard), 4, "all servers are free again");
        guard.release().await.unwrap();
        redsync.drain().await;
    }
}

#[tokio::test]
async fn an_extension_lengthens_the_life_of_the_keys() {
    let servers = Servers::start(4);
    let redsync = redsync(&servers);
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    let until = guard.until();
    for server in &servers {
        server.command(&["PEXPIRE", NAME, "5000"]);
    }
    guard.extend().await.unwrap();
    assert!(guard.until() > until);
    for server in &servers {
        let kept = server.pttl(NAME);
        assert!((5001..=8000).contains(&kept), "{kept} ms");
    }
}

#[tokio::test]
async fn an_extension_never_shortens_the_life_of_the_keys() {
    let servers = Servers::start(3);
    let redsync = redsync(&servers);
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    for server in &servers {
        server.command(&["PEXPIRE", NAME, "60000"]);
    }
    guard.extend().await.unwrap();
    for server in &servers {
        assert!(server.pttl(NAME) > 8000);
    }
}

#[tokio::test]
async fn an_expired_lock_is_not_extended() {
    let servers = Servers::start(4);
    let redsync = redsync(&servers);
    let mutex = redsync.mutex(NAME).with_expiry(ms(500));
    let guard = mutex.lock().await.unwrap();
    guard.lost().await;
    let result = guard.extend().await;
    assert!(matches!(result, Err(ExtendError::Lost(_))), "{result:?}");
    // The keys expire after the end of the validity.
    wait::until_async("expiry", Duration::from_secs(10), async || {
        servers.holders(NAME).iter().all(Option::is_none)
    })
    .await;
    let set = mutex.with_set_if_absent_on_extend(true);
    let guard = set.lock().await.unwrap();
    guard.lost().await;
    let result = guard.extend().await;
    assert!(matches!(result, Err(ExtendError::Lost(_))), "{result:?}");
}

#[tokio::test]
async fn an_extension_sets_keys_that_a_minority_has_lost_if_the_mutex_says_so() {
    let servers = Servers::start(4);
    let redsync = redsync(&servers);
    let mutex = redsync.mutex(NAME);
    let guard = mutex.lock().await.unwrap();
    redsync.drain().await;
    servers[2].flush();
    guard.extend().await.unwrap();
    redsync.drain().await;
    assert_eq!(held(&servers, &guard), 3);
    guard.release().await.unwrap();
    redsync.drain().await;

    let mutex = mutex.with_set_if_absent_on_extend(true);
    let guard = mutex.lock().await.unwrap();
    redsync.drain().await;
    servers[2].flush();
    guard.extend().await.unwrap();
    redsync.drain().await;
    assert_eq!(held(&servers, &guard), 4);
    let kept = servers[2].pttl(NAME);
    assert!((1..=8000).contains(&kept), "{kept} ms");
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    redsync.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn an_extension_does_not_take_a_lost_majority_back() {
    let servers = Servers::start(4);
    let redsync = redsync(&servers);
    for set_if_absent in [false, true] {
        let mutex = redsync.mutex(NAME);
        let mutex = mutex.with_set_if_absent_on_extend(set_if_absent);
        let guard = mutex.lock().await.unwrap();
        for server in &servers[1..] {
            server.flush();
        }
        let result = guard.extend().await;
        assert!(matches!(result, Err(ExtendError::Lost(_))), "{result:?}");
        drop(guard);
        redsync.drain().await;
        servers.assert_no_keys();
    }
}

#[tokio::test]
async fn an_extension_leaves_the_keys_of_another_holder_alone() {
    let servers = Servers::start(4);
    let redsync = redsync(&servers);
    for set_if_absent in [false, true] {
        let mutex = redsync.mutex(NAME);
        let mutex = mutex.with_set_if_absent_on_extend(set_if_absent);
        let guard = mutex.lock().await.unwrap();
        for server in &servers {
            server.command(&["SET", NAME, "foobar", "PX", "60000"]);
        }
        let result = guard.extend().await;
        assert!(matches!(result, Err(ExtendError::Lost(_))), "{result:?}");
        assert_eq!(guard.release().await.unwrap(), Released::AlreadyLost);
        redsync.drain().await;
        assert_eq!(servers.holders(NAME), vec![Some("foobar".to_owned()); 4]);
        for server in &servers {
            server.flush();
        }
    }
}

#[tokio::test]
async fn the_release_of_an_expired_lock_reports_the_loss() {
    let servers = Servers::start(4);
    let redsync = redsync(&servers);
    let mutex = redsync.mutex(NAME).with_expiry(ms(300));
    let guard = mutex.lock().await.unwrap();
    guard.lost().await;
    assert_eq!(guard.release().await.unwrap(), Released::AlreadyLost);

    let guard = redsync.mutex("flushed").lock().await.unwrap();
    for server in &servers {
        server.flush();
    }
    assert_eq!(guard.release().await.unwrap(), Released::AlreadyLost);
}

#[tokio::test]
async fn verify_asks_the_servers_whether_they_have_the_lock() {
    let servers = Servers::start(4);
    let redsync = redsync(&servers);
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    assert!(guard.verify().await.unwrap());
    servers[0].flush();
    assert!(guard.verify().await.unwrap());
    servers[1].flush();
    assert!(!guard.verify().await.unwrap());
    servers[2].command(&["SET", NAME, "foobar"]);
    assert!(!guard.verify().await.unwrap());
}

#[tokio::test]
async fn a_lock_expires_on_the_servers() {
    let servers = Servers::start(4);
    let redsync = redsync(&servers);
    let mutex = redsync.mutex(NAME).with_expiry(ms(400));
    let value = mutex.lock().await.unwrap().into_parts().value;
    assert!(matches!(mutex.try_lock().await, Err(LockError::Taken(_))));
    let guard = mutex.lock_within(Duration::from_secs(20)).await.unwrap();
    assert_ne!(guard.expose_value(), &value);
}

#[tokio::test]
async fn a_lock_can_be_released_elsewhere_with_its_value() {
    let servers = Servers::start(4);
    let (here, elsewhere) = (redsync(&servers), redsync(&servers));
    let value = here.mutex(NAME).lock().await.unwrap().into_parts().value;
    here.drain().await;
    assert!(servers.holders(NAME).iter().all(Option::is_some));

    let wrong = elsewhere.mutex(NAME).resume("not the value").await;
    assert!(matches!(wrong, Err(LockError::NotHeld(_))), "{wrong:?}");
    let other = elsewhere.mutex("other").resume(value.clone()).await;
    assert!(matches!(other, Err(LockError::NotHeld(_))), "{other:?}");

    let value = value.as_str().to_owned();
    let guard = elsewhere.mutex(NAME).resume(value).await.unwrap();
    assert!(guard.remaining() <= Duration::from_secs(8));
    guard.extend().await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    elsewhere.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn options_of_go_redsync_work() {
    let servers = Servers::start(4);
    let redsync = redsync(&servers);
    let number = AtomicU32::new(0);
    let mutex = redsync
        .mutex(NAME)
        .with_key_prefix("prefix:")
        .with_shuffled_nodes(true)
        .with_timeout_factor(0.5)
        .with_owner_label(move || {
            let number = number.fetch_add(1, Ordering::SeqCst);
            Ok::<_, Infallible>(format!("value {number} "))
        });
    for round in 0..10 {
        let guard = mutex.lock().await.unwrap();
        assert_eq!(guard.name(), "prefix:test-mutex");
        let beginning = format!("value {round} ");
        assert!(guard.expose_value().as_str().starts_with(&beginning));
        assert_eq!(held(&servers, &guard), 4);
        assert_eq!(guard.release().await.unwrap(), Released::Held);
        redsync.drain().await;
    }
    servers.assert_no_keys();
}

#[tokio::test]
async fn pauses_are_those_that_the_function_returns() {
    let servers = Servers::start(4);
    let redsync = redsync(&servers);
    let _guard = redsync.mutex(NAME).lock().await.unwrap();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&asked);
    let mutex = redsync.mutex(NAME).with_tries(4);
    let mutex = mutex.with_retry_delay_fn(move |attempts| {
        log.lock().unwrap().push(attempts);
        ms(1)
    });
    let error = mutex.lock().await.unwrap_err();
    assert!(matches!(error, LockError::Taken(_)), "{error:?}");
    assert_eq!(*asked.lock().unwrap(), [1, 2, 3]);
}

#[tokio::test]
async fn a_contender_that_fails_leaves_the_holder_alone() {
    let servers = Servers::start(4);
    let redsync = redsync(&servers);
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    let mut contenders = JoinSet::new();
    for _ in 0..8 {
        let mutex = redsync.mutex(NAME);
        contenders.spawn(async move { mutex.lock().await.map(drop) });
    }
    // In the middle of their attempts.
    sleep(ms(100)).await;
    contenders.shutdown().await;
    redsync.drain().await;
    assert_eq!(held(&servers, &guard), 4);
    assert!(guard.verify().await.unwrap());
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    redsync.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn many_locks_are_independent() {
    let servers = Servers::start(4);
    let redsync = redsync(&servers);
    let mut tasks = JoinSet::new();
    for number in 0..200 {
        let mutex = redsync.mutex(format!("{NAME}:{number}"));
        tasks.spawn(async move { mutex.try_lock().await.unwrap() });
    }
    let guards = tasks.join_all().await;
    let values: HashSet<_> = guards.iter().map(|g| g.expose_value().as_str()).collect();
    assert_eq!(values.len(), 200);
    assert_eq!(servers[0].keys().len(), 200);
    drop(guards);
    redsync.drain().await;
    servers.assert_no_keys();
}
