//! Connections that go silent: a firewall forgets them, the server is slow, or it hangs.

use std::time::Duration;

use futures_util::future::join_all;
use redsync::{
    Guard, Mutex, Redsync,
    node::redis::{Deadpool, RedisNode},
};
use redsync_tests::{Proxy, RedisServer, Servers, wait::until_async};
use tokio::{task::JoinSet, time::sleep};

const LIMIT: Duration = Duration::from_secs(20);

/// Longer than a connection may be idle without a check.
const IDLE: Duration = Duration::from_millis(1200);

/// What one attempt may take. It is well below a second, and above what a check takes on a slow machine.
const PATIENCE: Duration = Duration::from_millis(900);

async fn behind_proxies(count: usize) -> (Servers, Vec<Proxy>, Redsync) {
    let servers = Servers::start(count);
    let mut proxies = Vec::new();
    for server in &servers {
        proxies.push(Proxy::start(server.port()).await);
    }
    let redsync = Redsync::connect(proxies.iter().map(Proxy::url)).unwrap();
    let redsync = redsync.with_defaults(|mutex| mutex.with_node_timeout(PATIENCE));
    (servers, proxies, redsync.unwrap())
}

/// One attempt, and the release of its lock. Returns whether both succeeded.
async fn locks(mutex: &Mutex) -> bool {
    match mutex.try_lock().await {
        Ok(guard) => guard.release().await.is_ok(),
        Err(_) => false,
    }
}

fn connections(proxies: &[Proxy]) -> Vec<usize> {
    proxies.iter().map(Proxy::connections).collect()
}

/// The ids of the clients that are connected to a server.
fn clients(server: &RedisServer) -> Vec<String> {
    let list: String = server.query(&["CLIENT", "LIST"]);
    let ids = list.lines().filter_map(|line| line.split(' ').next());
    ids.map(str::to_owned).collect()
}

#[tokio::test]
async fn a_rare_attempt_succeeds_though_a_firewall_has_forgotten_all_connections() {
    let (_servers, proxies, redsync) = behind_proxies(3).await;
    let mutex = redsync.mutex("a");
    assert!(locks(&mutex).await);
    for round in 1..=3 {
        redsync.drain().await;
        proxies.iter().for_each(Proxy::forget);
        sleep(IDLE).await;
        assert!(locks(&mutex).await, "round {round}");
        redsync.drain().await;
        assert_eq!(connections(&proxies), [1 + round; 3]);
    }
}

#[tokio::test]
async fn a_node_whose_connection_was_forgotten_soon_votes_again() {
    let (servers, proxies, redsync) = behind_proxies(3).await;
    let mutex = redsync.mutex("a").with_fail_fast(false);
    assert!(locks(&mutex).await);
    redsync.drain().await;
    proxies[0].forget();
    sleep(IDLE).await;
    let guard = mutex.try_lock().await.unwrap();
    assert!(servers[0].get("a").is_some());
    guard.release().await.unwrap();
}

#[tokio::test]
async fn a_busy_service_pays_at_most_once_for_connections_that_were_forgotten() {
    let (_servers, proxies, redsync) = behind_proxies(3).await;
    assert!(locks(&redsync.mutex("a")).await);
    let mut tasks = JoinSet::new();
    for number in 0..16 {
        let mutex = redsync.mutex(format!("busy:{number}"));
        tasks.spawn(async move {
            let mut failures = 0;
            for _ in 0..8 {
                failures += usize::from(!locks(&mutex).await);
                sleep(Duration::from_millis(50)).await;
            }
            failures
        });
    }
    sleep(Duration::from_millis(120)).await;
    proxies.iter().for_each(Proxy::forget);
    let failures = tasks.join_all().await;
    assert!(failures.iter().all(|count| *count <= 1), "{failures:?}");
}

/// Takes a lock, does something with it over connections that a firewall forgets at that moment, and has
/// others made meanwhile.
async fn over_forgotten_connections<T>(
    redsync: &Redsync,
    proxies: &[Proxy],
    finish: impl AsyncFnOnce(Guard) -> T,
) -> T {
    // All of it is longer than the test may take.
    let mutex = redsync.mutex("a").with_expiry(10 * LIMIT);
    let mutex = mutex.with_node_timeout(LIMIT).with_fail_fast(false);
    let guard = mutex.lock().await.unwrap();
    proxies.iter().for_each(Proxy::forget);
    let others = until_async("a lock over other connections", LIMIT, async || {
        // The first attempt goes into the silence, too.
        locks(&redsync.mutex("other").with_expiry(2 * PATIENCE)).await
    });
    tokio::join!(finish(guard), others).0
}

#[tokio::test]
async fn a_release_that_was_sent_into_the_silence_is_repeated_over_the_next_connection() {
    let (servers, proxies, redsync) = behind_proxies(3).await;
    let released = over_forgotten_connections(&redsync, &proxies, Guard::release).await;
    released.expect("it does not wait for the connections that were forgotten");
    redsync.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn a_key_whose_acquisition_was_answered_into_the_silence_is_released_over_the_next_connection()
 {
    let (servers, proxies, redsync) = behind_proxies(1).await;
    assert!(locks(&redsync.mutex("other")).await);
    redsync.drain().await;
    proxies[0].hold_replies();
    // The key would stay for longer than the test may take.
    let mutex = redsync.mutex("a").with_expiry(10 * LIMIT);
    let attempt = tokio::spawn(async move { mutex.try_lock().await.map(drop) });
    until_async("the key", LIMIT, async || servers[0].get("a").is_some()).await;
    proxies[0].forget();
    proxies[0].pass();
    attempt.await.unwrap().unwrap_err();
    until_async("no key", LIMIT, async || {
        // The connection is found to be silent when another command is to be sent.
        locks(&redsync.mutex("other").with_expiry(2 * PATIENCE)).await;
        servers[0].get("a").is_none()
    })
    .await;
}

#[tokio::test]
async fn an_extension_that_was_sent_into_the_silence_is_repeated_over_the_next_connection() {
    let (_servers, proxies, redsync) = behind_proxies(3).await;
    let extend = async |guard: Guard| guard.extend().await;
    let extended = over_forgotten_connections(&redsync, &proxies, extend).await;
    extended.expect("it does not wait for the connections that were forgotten");
}

#[tokio::test]
async fn a_slow_server_keeps_its_connection() {
    let (servers, proxies, redsync) = behind_proxies(3).await;
    let mutex = redsync.mutex("a").with_node_timeout(Duration::from_secs(5));
    assert!(locks(&mutex).await);
    let first: Vec<_> = servers.iter().map(clients).collect();
    for proxy in &proxies {
        proxy.delay(Duration::from_millis(150));
    }
    for _ in 0..5 {
        redsync.drain().await;
        sleep(IDLE).await;
        assert!(locks(&mutex).await);
    }
    for (server, first) in servers.iter().zip(first) {
        let now = clients(server);
        assert!(first.iter().all(|id| now.contains(id)), "{first:?} {now:?}");
    }
    // Another may have been tried before it was known how slow they are, and one more on a slow machine.
    let connections = connections(&proxies);
    assert!(
        connections.iter().all(|count| *count <= 3),
        "{connections:?}"
    );
}

/// More locks than a connection has commands under way.
const BURST: usize = 3_000;

#[tokio::test]
async fn a_silent_connection_is_checked_though_it_has_all_the_commands_that_it_takes() {
    let servers = Servers::start(3);
    let proxy = Proxy::start(servers[0].port()).await;
    let urls = [proxy.url(), servers[1].url(), servers[2].url()];
    // Without wake-ups, whose connections have checks of their own.
    let nodes = urls.map(|url| RedisNode::new(Deadpool::connect(&url).unwrap()));
    let redsync = Redsync::new(nodes).unwrap();
    let lock = |number: usize| {
        let mutex = redsync.mutex(format!("burst:{number}"));
        async move { drop(mutex.lock().await) }
    };
    lock(0).await;
    redsync.drain().await;
    servers[0].command(&["CONFIG", "RESETSTAT"]);
    proxy.hold_replies();
    // At once, so that the connection is full before its silence is noticed.
    join_all((1..BURST).map(lock)).await;
    until_async("a check", LIMIT, async || {
        lock(BURST).await;
        let statistics: String = servers[0].query(&["INFO", "commandstats"]);
        statistics.contains("cmdstat_ping:")
    })
    .await;
    proxy.pass();
    redsync.drain().await;
    until_async("no keys", LIMIT, async || servers[0].keys().is_empty()).await;
}

#[tokio::test]
async fn servers_that_hang_are_not_flooded_with_connections() {
    let (servers, proxies, redsync) = behind_proxies(3).await;
    assert!(locks(&redsync.mutex("a")).await);
    servers.iter().for_each(RedisServer::stop);
    let mut tasks = JoinSet::new();
    for number in 0..16 {
        let mutex = redsync.mutex(format!("busy:{number}"));
        tasks.spawn(async move {
            for _ in 0..4 {
                locks(&mutex).await;
            }
        });
    }
    tasks.join_all().await;
    servers.iter().for_each(RedisServer::cont);
    until_async("an end of the hang", LIMIT, async || {
        locks(&redsync.mutex("a")).await
    })
    .await;
    // About four seconds, and no more than one connection at a time.
    let connections = connections(&proxies);
    assert!(
        connections.iter().all(|count| *count <= 6),
        "{connections:?}"
    );
    redsync.drain().await;
    servers.assert_no_keys();
}
