//! The example `cache`, end to end: copies of its program are asked for the same report at the same time,
//! and killed, and servers under them.

use std::{collections::BTreeMap, io::Write as _, net::TcpStream, sync::Arc};

use axum::http::Method;
use redsync_tests::{
    RedisServer, Servers, Service,
    http::{Answer, get, try_send},
    program::SOON,
    wait::until_async,
};
use tokio::task::{JoinHandle, JoinSet};

/// A cache, and nodes of locks.
struct World {
    cache: RedisServer,
    locks: Servers,
}

impl World {
    fn start() -> Self {
        Self {
            cache: RedisServer::start(),
            locks: Servers::start(3),
        }
    }

    /// Starts a copy that computes for so long.
    async fn copy(&self, work_ms: u32) -> Service {
        let env = [
            ("CACHE_URL", &*self.cache.url()),
            ("REDIS_URLS", &*self.locks.urls().join(",")),
            ("WORK_MS", &*work_ms.to_string()),
            ("WAIT_MS", "20000"),
            ("EXPIRY_MS", "1500"),
        ];
        Service::start("cache", &env).await
    }

    fn is_locked(&self) -> bool {
        let holders = self.locks.holders("report:7");
        holders.iter().all(Option::is_some)
    }
}

async fn ask(service: &Service) -> Answer {
    let answer = get(&service.url("/reports/7")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.body, "all about report:7\n");
    answer
}

/// Asks, and says whether the report was computed for this, waited for, or cached.
fn asking(service: &Service) -> JoinHandle<String> {
    let url = service.url("/reports/7");
    tokio::spawn(async move { get(&url).await.header("report-from").to_owned() })
}

fn computations(service: &Service) -> usize {
    let log = service.log();
    let computes = |line: &&str| line.contains("computing report:7");
    log.lines().filter(computes).count()
}

#[tokio::test]
async fn forty_requests_at_two_copies_are_one_computation() {
    let world = World::start();
    let copies = Arc::new([world.copy(500).await, world.copy(500).await]);
    let mut requests = JoinSet::new();
    for number in 0..40 {
        let copies = Arc::clone(&copies);
        requests.spawn(async move {
            let answer = ask(&copies[number % 2]).await;
            answer.header("report-from").to_owned()
        });
    }
    let mut origins = BTreeMap::new();
    for origin in requests.join_all().await {
        *origins.entry(origin).or_insert(0) += 1;
    }
    println!("{origins:?}");
    assert_eq!(origins["computed"], 1);
    assert!(origins["waited"] > 0, "nobody waited");
    let all = || computations(&copies[0]) + computations(&copies[1]);
    until_async("the line of the computation", SOON, async || all() > 0).await;
    assert_eq!(all(), 1);
    assert_eq!(ask(&copies[1]).await.header("report-from"), "cached");
}

#[tokio::test]
async fn if_the_copy_that_computes_is_killed_another_computes() {
    let world = World::start();
    let mut killed = world.copy(600_000).await;
    let other = world.copy(0).await;
    let first = tokio::spawn({
        let url = killed.url("/reports/7");
        async move { try_send(Method::GET, &url, &[], "").await }
    });
    killed.until_logged(1, &["computing report:7"]).await;
    let second = asking(&other);
    killed.kill();
    assert!(first.await.expect("no panic").is_err());
    assert_eq!(second.await.expect("no panic"), "computed");
    other.until_logged(1, &["computing report:7"]).await;
    assert_eq!(computations(&other), 1);
}

#[tokio::test]
async fn a_report_is_stored_though_its_client_hung_up_and_the_copy_shuts_down() {
    let world = World::start();
    let mut service = world.copy(2000).await;
    let mut client = TcpStream::connect(("127.0.0.1", service.port())).expect("a connection");
    write!(client, "GET /reports/7 HTTP/1.1\r\nhost: x\r\n\r\n").expect("sent");
    service.until_logged(1, &["computing report:7"]).await;
    drop(client);
    service.terminate();
    assert_eq!(service.exit().code(), Some(0), "{}", service.log());
    let stored = world.cache.get("report:7");
    assert_eq!(stored.as_deref(), Some("all about report:7\n"));
    world.locks.assert_no_keys();
}

#[tokio::test]
async fn a_computation_that_takes_longer_than_the_expiry_keeps_its_lock() {
    let world = World::start();
    let copies = [world.copy(4000).await, world.copy(4000).await];
    let first = asking(&copies[0]);
    until_async("it is computed", SOON, async || world.is_locked()).await;
    let second = asking(&copies[1]);
    assert_eq!(first.await.expect("no panic"), "computed");
    assert_eq!(second.await.expect("no panic"), "waited");
}

#[tokio::test]
async fn with_one_of_three_nodes_down_nothing_changes() {
    let world = World::start();
    world.locks[0].kill();
    let copies = [world.copy(500).await, world.copy(500).await];
    let answers = [asking(&copies[0]), asking(&copies[1])];
    for answer in answers {
        answer.await.expect("no panic");
    }
    let all = || computations(&copies[0]) + computations(&copies[1]);
    until_async("the line of the computation", SOON, async || all() > 0).await;
    assert_eq!(all(), 1);
}

#[tokio::test]
async fn without_the_nodes_of_the_locks_each_copy_computes_once() {
    let world = World::start();
    let copies = [world.copy(500).await, world.copy(500).await];
    world.locks[0].kill();
    world.locks[1].kill();
    let requests: Vec<_> = (0..20).map(|number| asking(&copies[number % 2])).collect();
    for request in requests {
        request.await.expect("no panic");
    }
    for copy in &copies {
        assert!(computations(copy) <= 1, "{}", copy.log());
    }
    assert_eq!(ask(&copies[0]).await.header("report-from"), "cached");
}

#[tokio::test]
async fn without_the_cache_requests_compute_one_after_the_other() {
    let world = World::start();
    let service = world.copy(300).await;
    world.cache.kill();
    let requests = [asking(&service), asking(&service), asking(&service)];
    for request in requests {
        assert_eq!(request.await.expect("no panic"), "computed");
    }
    // The log is read beside the test.
    service.until_logged(3, &["computed report:7"]).await;
    let log = service.log();
    let begins_and_ends = (log.lines())
        .filter(|line| line.ends_with("ed report:7") || line.ends_with("ing report:7"));
    let begins: Vec<_> = begins_and_ends
        .map(|line| line.contains("computing"))
        .collect();
    assert_eq!(begins, [true, false, true, false, true, false], "{log}");
}

#[tokio::test]
async fn who_waits_too_long_is_told_to_come_back() {
    let world = World::start();
    let env = [
        ("CACHE_URL", &*world.cache.url()),
        ("REDIS_URLS", &*world.locks.urls().join(",")),
        ("WORK_MS", "600000"),
        ("WAIT_MS", "100"),
    ];
    let service = Service::start("cache", &env).await;
    let _computing = asking(&service);
    service.until_logged(1, &["computing report:7"]).await;
    let answer = get(&service.url("/reports/7")).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, "1"));
    // Another report is computed meanwhile.
    let _other = tokio::spawn({
        let url = service.url("/reports/8");
        async move { get(&url).await }
    });
    service.until_logged(1, &["computing report:8"]).await;
}
