//! Real servers that fail, and networks that break.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use futures_util::FutureExt;
use redsync::{ExtendError, LockError, Redsync, Released, Vote};
use redsync_tests::{Proxy, RedisServer, Servers, wait};
use tokio::{
    sync::Barrier,
    task::JoinSet,
    time::{sleep, timeout},
};

const NAME: &str = "order:42";

/// A generous time limit, for slow machines too.
const SOON: Duration = Duration::from_secs(20);

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn connect<U: AsRef<str>>(urls: impl IntoIterator<Item = U>) -> Redsync {
    Redsync::connect(urls)
        .and_then(|redsync| {
            redsync.with_defaults(|mutex| {
                mutex
                    .with_node_timeout(Duration::from_secs(2))
                    .with_retry_delay_range(ms(10)..ms(50))
            })
        })
        .expect("a configuration that works")
}

/// Goes through the life of a lock: acquired, seen as taken, extended, released.
async fn assert_works(redsync: &Redsync) {
    let mutex = redsync.mutex(NAME);
    let guard = mutex.lock_within(SOON).await.unwrap();
    assert!(matches!(mutex.try_lock().await, Err(LockError::Taken(_))));
    guard.extend().await.unwrap();
    assert!(guard.verify().await.unwrap());
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    let guard = mutex.lock_within(SOON).await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
}

/// Waits until no key is left on any live server. Draining would take long if a server is dead, because
/// it may come back with the key.
async fn assert_gone(servers: &Servers) {
    wait::until_async("no key left", SOON, async || {
        let mut alive = servers.iter().filter(|server| server.pid().is_some());
        alive.all(|server| server.keys().is_empty())
    })
    .await;
}

#[tokio::test]
async fn one_dead_server_of_three_does_not_matter() {
    let servers = Servers::start(3);
    for (dead, server) in servers.iter().enumerate() {
        let redsync = connect(servers.urls());
        if dead == 1 {
            // This time there are connections to it.
            assert_works(&redsync).await;
        }
        server.kill();
        assert_works(&redsync).await;
        assert_gone(&servers).await;
        server.restart();
        assert_works(&redsync).await;
    }
}

#[tokio::test]
async fn a_server_may_die_while_a_lock_is_held() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    let guard = redsync.mutex(NAME).lock().await.unwrap();
    servers[0].kill();
    guard.extend().await.unwrap();
    assert!(guard.verify().await.unwrap());
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    assert_gone(&servers).await;
}

#[tokio::test]
async fn one_stopped_server_of_three_does_not_matter() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    assert_works(&redsync).await;
    servers[1].stop();
    let start = Instant::now();
    for _ in 0..10 {
        let mutex = redsync.mutex(NAME);
        let guard = mutex.lock_within(SOON).await.unwrap();
        guard.extend().await.unwrap();
        assert_eq!(guard.release().await.unwrap(), Released::Held);
    }
    // If each operation waited for the limit of 2 s, it would take far longer.
    assert!(start.elapsed() < Duration::from_secs(10));
    servers[1].cont();
    redsync.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn two_stopped_servers_of_five_do_not_matter() {
    let servers = Servers::start(5);
    let redsync = connect(servers.urls());
    servers[0].stop();
    servers[3].stop();
    assert_works(&redsync).await;
    servers[0].cont();
    servers[3].cont();
    redsync.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn two_dead_servers_of_three_are_an_outage_that_ends() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    let guard = redsync.mutex("held").lock().await.unwrap();
    let until = guard.until();
    servers[0].kill();
    servers[2].kill();

    let error = redsync.mutex(NAME).try_lock().await.unwrap_err();
    assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
    let shown = error.to_string();
    for server in [&servers[0], &servers[2]] {
        assert!(shown.contains(&server.address()), "{shown}");
    }
    let result = guard.extend().await;
    assert!(matches!(result, Err(ExtendError::Failed(_))), "{result:?}");
    assert_eq!(guard.until(), until);
    let error = guard.release().await.unwrap_err();
    assert!(error.to_string().contains(&servers[0].address()), "{error}");

    servers[0].restart();
    assert_works(&redsync).await;
    servers[2].restart();
    assert_works(&redsync).await;
    redsync.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn a_service_can_start_before_its_servers() {
    let servers = Servers::start(3);
    for server in &servers {
        server.kill();
    }
    let redsync = connect(servers.urls());
    let error = redsync.mutex(NAME).try_lock().await.unwrap_err();
    let LockError::Unavailable(votes) = &error else {
        panic!("{error:?}")
    };
    let failed = votes
        .iter()
        .all(|node| matches!(node.vote(), Vote::Failed(_)));
    assert!(failed, "{error}");
    let waits = redsync.mutex(NAME);
    let waits = tokio::spawn(async move { waits.lock_within(SOON).await });
    for server in &servers {
        server.restart();
    }
    waits.await.unwrap().unwrap().release().await.unwrap();
}

#[tokio::test]
async fn all_servers_may_restart_while_no_lock_is_held() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    assert_works(&redsync).await;
    for server in &servers {
        server.restart();
    }
    assert_works(&redsync).await;
}

#[tokio::test]
async fn a_late_acquisition_of_a_stopped_server_is_released() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    assert_works(&redsync).await;
    redsync.drain().await;
    // A majority is stopped, so the attempt fails. It is sent to all three.
    servers[0].stop();
    servers[1].stop();
    let mutex = redsync.mutex(NAME).with_node_timeout(ms(300));
    let error = mutex.try_lock().await.unwrap_err();
    assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
    let cut_off = timeout(ms(50), mutex.lock()).await;
    assert!(cut_off.is_err());
    servers[0].cont();
    servers[1].cont();
    redsync.drain().await;
    servers.assert_no_keys();
    assert_works(&redsync).await;
}

#[tokio::test]
async fn a_stopped_straggler_of_a_released_lock_keeps_no_key() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    assert_works(&redsync).await;
    servers[2].stop();
    let mutex = redsync.mutex(NAME);
    for _ in 0..5 {
        let guard = mutex.lock_within(SOON).await.unwrap();
        assert_eq!(guard.release().await.unwrap(), Released::Held);
    }
    servers[2].cont();
    redsync.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn scripts_may_be_flushed_between_operations() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    let flush = || {
        for server in &servers {
            server.command(&["SCRIPT", "FLUSH"]);
        }
    };
    for _ in 0..2 {
        let guard = redsync.mutex(NAME).lock().await.unwrap();
        flush();
        guard.extend().await.unwrap();
        flush();
        assert!(guard.verify().await.unwrap());
        flush();
        let taken = redsync.mutex(NAME).try_lock().await;
        assert!(matches!(taken, Err(LockError::Taken(_))), "{taken:?}");
        redsync.drain().await;
        flush();
        assert_eq!(guard.release().await.unwrap(), Released::Held);
        redsync.drain().await;
        servers.assert_no_keys();
    }
}

#[tokio::test]
async fn a_server_that_restarts_empty_is_used_again() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    let mutex = redsync.mutex(NAME).with_set_if_absent_on_extend(true);
    let mutex = mutex.with_fail_fast(false);
    let guard = mutex.lock().await.unwrap();
    servers[0].restart_empty();
    wait::until_async("healing", SOON, async || {
        guard.extend().await.unwrap();
        servers[0].get(NAME).as_deref() == Some(guard.expose_value().as_str())
    })
    .await;
    // The server counts again after a majority has confirmed the lock in a round that began after the key was
    // set, and after the answer to that.
    redsync.drain().await;
    guard.extend().await.unwrap();
    servers[1].kill();
    guard.extend().await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
}

#[tokio::test]
async fn keep_alive_outlives_a_restart_with_data() {
    let servers = Servers::start_with(3, &["--appendonly", "yes", "--appendfsync", "always"]);
    let redsync = connect(servers.urls());
    let mutex = redsync.mutex(NAME).with_expiry(Duration::from_secs(3));
    let mut guard = mutex.with_fail_fast(false).lock().await.unwrap();
    guard.keep_alive();
    let first = guard.until();
    for server in &servers {
        server.restart();
    }
    wait::until_async("an extension", SOON, async || guard.until() > first).await;
    assert!(!guard.is_lost());
    assert_eq!(guard.release().await.unwrap(), Released::Held);
}

#[tokio::test]
async fn missing_and_wrong_passwords_are_errors() {
    let servers = Servers::start_with(3, &["--requirepass", "secret"]);
    for (user, code) in [("", "NOAUTH"), (":wrong@", "WRONGPASS")] {
        let urls = servers
            .iter()
            .map(|s| format!("redis://{user}{}", s.address()));
        let redsync = connect(urls);
        let error = redsync.mutex(NAME).try_lock().await.unwrap_err();
        assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
        let shown = error.to_string();
        assert!(shown.contains(code), "{shown}");
        assert!(shown.contains("password"), "{shown}");
        let shown = format!("{error:?} {error} {redsync:?}");
        assert!(!shown.contains(":wrong"), "{shown}");
    }
    let urls = servers
        .iter()
        .map(|s| format!("redis://:secret@{}", s.address()));
    let redsync = connect(urls);
    assert!(!format!("{redsync:?}").contains("secret"));
    assert_works(&redsync).await;
}

#[tokio::test]
async fn a_replica_does_not_vote() {
    let servers = Servers::start(4);
    let redsync = connect(servers.urls().into_iter().take(3));
    let primary = servers[3].port().to_string();
    servers[0].command(&["REPLICAOF", "127.0.0.1", &primary]);
    assert_works(&redsync).await;

    servers[1].command(&["REPLICAOF", "127.0.0.1", &primary]);
    let error = redsync.mutex(NAME).try_lock().await.unwrap_err();
    assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("READONLY"), "{error}");
    redsync.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn a_server_without_memory_does_not_vote() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    let guard = redsync.mutex("held").lock().await.unwrap();
    servers[0].command(&["CONFIG", "SET", "maxmemory", "1"]);
    assert_works(&redsync).await;

    servers[1].command(&["CONFIG", "SET", "maxmemory", "1"]);
    let error = redsync.mutex(NAME).try_lock().await.unwrap_err();
    assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("out of memory"), "{error}");
    // It can still extend and release the keys that it has.
    guard.extend().await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    redsync.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn a_key_of_another_type_is_not_a_lock_and_stays() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    for server in &servers[..2] {
        server.command(&["HSET", NAME, "field", "value"]);
    }
    let error = redsync.mutex(NAME).try_lock().await.unwrap_err();
    assert!(matches!(error, LockError::NotALock(_)), "{error:?}");
    let result = redsync.mutex(NAME).resume("value").await;
    assert!(matches!(result, Err(LockError::NotHeld(_))), "{result:?}");
    redsync.drain().await;

    let guard = redsync.mutex("other").with_fail_fast(false).lock().await;
    let guard = guard.unwrap();
    for server in &servers[..2] {
        server.command(&["DEL", "other"]);
        server.command(&["HSET", "other", "field", "value"]);
    }
    assert!(!guard.verify().await.unwrap());
    let result = guard.extend().await;
    assert!(matches!(result, Err(ExtendError::Lost(_))), "{result:?}");
    assert_eq!(guard.release().await.unwrap(), Released::AlreadyLost);
    redsync.drain().await;
    for server in &servers[..2] {
        assert_eq!(server.keys(), [NAME, "other"]);
    }
}

/// Servers, a proxy in front of each, and a client that connects through the proxies.
async fn behind_proxies(count: usize) -> (Servers, Vec<Proxy>, Redsync) {
    let servers = Servers::start(count);
    let mut proxies = Vec::new();
    for server in &servers {
        proxies.push(Proxy::start(server.port()).await);
    }
    let redsync = connect(proxies.iter().map(Proxy::url));
    // On every node, because before its first lock a node is asked whether it could release one.
    let first = redsync.mutex(NAME).with_expiry(SOON);
    let first = first.with_node_timeout(SOON).with_fail_fast(false);
    first.lock().await.unwrap().release().await.unwrap();
    assert_works(&redsync).await;
    redsync.drain().await;
    (servers, proxies, redsync)
}

#[tokio::test]
async fn lost_replies_leave_no_key() {
    let (servers, proxies, redsync) = behind_proxies(3).await;
    for proxy in &proxies[..2] {
        proxy.drop_replies();
    }
    let expiry = Duration::from_secs(1);
    let mutex = redsync.mutex(NAME).with_expiry(expiry);
    let error = mutex
        .with_node_timeout(ms(200))
        .try_lock()
        .await
        .unwrap_err();
    assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
    for proxy in &proxies {
        proxy.reset();
        proxy.pass();
    }
    redsync.drain().await;
    assert_gone(&servers).await;
    assert_works(&redsync).await;
}

#[tokio::test]
async fn connections_may_be_reset_in_the_middle_of_an_acquisition() {
    let (servers, proxies, redsync) = behind_proxies(3).await;
    for proxy in &proxies {
        proxy.hold_replies();
    }
    let mutex = redsync.mutex(NAME);
    let lock = tokio::spawn(async move { mutex.try_lock().await });
    wait::until_async("the keys", SOON, async || {
        servers.holders(NAME).iter().all(Option::is_some)
    })
    .await;
    for proxy in &proxies {
        proxy.reset();
        proxy.pass();
    }
    let error = lock.await.unwrap().unwrap_err();
    assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
    redsync.drain().await;
    servers.assert_no_keys();
    assert_works(&redsync).await;
}

#[tokio::test]
async fn connections_may_be_reset_in_the_middle_of_a_release() {
    let (servers, proxies, redsync) = behind_proxies(3).await;
    let guard = redsync.mutex(NAME).with_fail_fast(false).lock().await;
    let guard = guard.unwrap();
    for proxy in &proxies {
        proxy.hold_replies();
    }
    let release = tokio::spawn(guard.release());
    wait::until_async("the release", SOON, async || {
        servers.iter().all(|server| server.keys().is_empty())
    })
    .await;
    for proxy in &proxies {
        proxy.reset();
        proxy.pass();
    }
    let result = release.await.unwrap();
    assert!(
        !matches!(result, Ok(Released::AlreadyLost)),
        "the lock was held: {result:?}"
    );
}

#[tokio::test]
async fn acquisitions_that_never_arrived_are_released_nevertheless() {
    let (servers, proxies, redsync) = behind_proxies(3).await;
    for proxy in &proxies[..2] {
        proxy.hold_requests();
    }
    let mutex = redsync.mutex(NAME).with_node_timeout(ms(200));
    mutex.try_lock().await.unwrap_err();
    for proxy in &proxies {
        proxy.reset();
        proxy.pass();
    }
    redsync.drain().await;
    servers.assert_no_keys();
    assert_works(&redsync).await;
}

#[tokio::test]
async fn requests_that_arrive_late_leave_no_key() {
    let (servers, proxies, redsync) = behind_proxies(3).await;
    for proxy in &proxies[..2] {
        proxy.hold_requests();
    }
    let mutex = redsync.mutex(NAME).with_node_timeout(ms(200));
    let error = mutex.try_lock().await.unwrap_err();
    assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
    let dropped = mutex.lock().now_or_never();
    assert!(dropped.is_none());
    for proxy in &proxies {
        proxy.pass();
    }
    redsync.drain().await;
    servers.assert_no_keys();
    assert_works(&redsync).await;
}

#[tokio::test]
async fn a_lock_that_moved_to_another_process_leaves_no_key_on_a_slow_server() {
    let (servers, proxies, first) = behind_proxies(3).await;
    let second = connect(servers.urls());
    assert_works(&second).await;
    proxies[2].hold_requests();
    let parts = first.mutex(NAME).lock().await.unwrap().into_parts();
    let guard = second.mutex(NAME).resume(parts).await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    proxies[2].pass();
    first.drain().await;
    second.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn an_extension_that_arrives_late_does_not_bring_a_released_key_back() {
    let (servers, proxies, redsync) = behind_proxies(3).await;
    let mutex = redsync.mutex(NAME).with_set_if_absent_on_extend(true);
    let guard = mutex.with_fail_fast(false).lock().await.unwrap();
    proxies[0].hold_requests();
    guard.extend().await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    proxies[0].pass();
    redsync.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn a_half_open_connection_costs_no_lock_and_is_replaced() {
    let (servers, proxies, redsync) = behind_proxies(3).await;
    proxies[0].blackhole();
    assert_works(&redsync).await;
    // As if the other side of the connections had gone without a sign: only new connections work.
    let expiry = Duration::from_secs(2);
    let mutex = redsync.mutex(NAME).with_expiry(expiry);
    mutex
        .lock_within(SOON)
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
    proxies[0].reset();
    proxies[0].pass();
    servers[1].stop();
    assert_works(&redsync).await;
    servers[1].cont();
    redsync.drain().await;
    assert_gone(&servers).await;
}

#[tokio::test]
async fn a_slow_network_only_makes_locking_slow() {
    let (servers, proxies, redsync) = behind_proxies(3).await;
    for (proxy, delay) in proxies.iter().zip([5, 30, 60]) {
        proxy.delay(ms(delay));
    }
    assert_works(&redsync).await;
    redsync.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn refused_connections_are_an_outage_that_ends() {
    let (servers, proxies, redsync) = behind_proxies(3).await;
    for proxy in &proxies {
        proxy.refuse();
    }
    let error = redsync.mutex(NAME).try_lock().await.unwrap_err();
    assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
    for proxy in &proxies {
        proxy.pass();
    }
    assert_works(&redsync).await;
    redsync.drain().await;
    servers.assert_no_keys();
}

const TASKS: usize = 8;
const INCREMENTS: usize = 20;

/// Reads a counter and writes one more. In the pause between, other tasks may do the same.
async fn increment(counter: &mut redis::aio::MultiplexedConnection) {
    let count: Option<u64> = redis::cmd("GET")
        .arg("counter")
        .query_async(counter)
        .await
        .unwrap();
    sleep(ms(2)).await;
    let count = count.unwrap_or(0) + 1;
    let () = redis::cmd("SET")
        .arg("counter")
        .arg(count)
        .query_async(counter)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_counter_under_the_lock_loses_no_update_whatever_the_servers_do() {
    let durable = ["--appendonly", "yes", "--appendfsync", "always"];
    let servers = Arc::new(Servers::start_with(3, &durable));
    let resource = RedisServer::start();
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        // Each task has its own client, as a process would.
        let redsync = connect(servers.urls());
        let mut counter = resource.connection().await;
        tasks.spawn(async move {
            let mutex = redsync.mutex(NAME).with_expiry(Duration::from_secs(3));
            let mutex = mutex.with_node_timeout(ms(500));
            for _ in 0..INCREMENTS {
                let guard = mutex.lock_within(Duration::from_secs(100)).await.unwrap();
                increment(&mut counter).await;
                // If the lock were lost, an update could be lost.
                assert!(!guard.is_lost(), "an increment takes milliseconds");
                drop(guard);
                // Other tasks get the lock, and the servers have time to fail.
                sleep(ms(15)).await;
            }
            redsync.drain().await;
        });
    }

    // One server at a time is dead, stopped or starting. All keys survive that.
    let done = Arc::new(AtomicBool::new(false));
    let faults = thread::spawn({
        let (servers, done) = (Arc::clone(&servers), Arc::clone(&done));
        move || {
            for round in 0.. {
                if done.load(Ordering::SeqCst) {
                    return round;
                }
                let server = &servers[round % 3];
                if round % 2 == 0 {
                    server.kill();
                } else {
                    server.stop();
                }
                thread::sleep(ms(150));
                if round % 2 == 0 {
                    server.restart();
                } else {
                    server.cont();
                }
                thread::sleep(ms(150));
            }
            unreachable!("the rounds do not end")
        }
    });
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
    done.store(true, Ordering::SeqCst);
    let rounds = faults.join().unwrap();
    assert!(rounds > 3, "only {rounds} faults");
    let count = resource.get("counter").unwrap();
    assert_eq!(count, (TASKS * INCREMENTS).to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_counter_without_the_lock_loses_updates() {
    let resource = RedisServer::start();
    let start = Arc::new(Barrier::new(TASKS));
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let mut counter = resource.connection().await;
        let start = Arc::clone(&start);
        tasks.spawn(async move {
            start.wait().await;
            for _ in 0..INCREMENTS {
                increment(&mut counter).await;
            }
        });
    }
    while let Some(result) = tasks.join_next().await {
        result.unwrap();
    }
    let count: usize = resource.get("counter").unwrap().parse().unwrap();
    assert!(count < TASKS * INCREMENTS, "{count}");
}
