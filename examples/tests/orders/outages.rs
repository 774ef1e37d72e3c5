//! Redis servers that are killed or stopped, and come back.

use std::time::{Duration, Instant};

use redsync_tests::{Servers, Service, wait::until_async};

use crate::{
    client::{self, Order, OrderAnswer},
    service::{SOON, start},
};

/// Adds `count` items, one after the other.
async fn add(service: &Service, count: i64) {
    for _ in 0..count {
        let answer = client::add(service, "/orders/1", 1).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
    }
}

#[tokio::test]
async fn one_server_of_three_may_fail() {
    let servers = Servers::start(3);
    let urls = servers.urls().join(",");
    let service = start(&[("REDIS_URLS", &urls)]).await;
    add(&service, 10).await;

    servers[0].stop();
    let start = Instant::now();
    add(&service, 20).await;
    // If each request waited for that server, when locking and when releasing, it would take 10 s.
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    servers[0].cont();

    servers[1].kill();
    let start = Instant::now();
    add(&service, 20).await;
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );

    let order = client::get(&service, "/orders/1").await.order();
    assert_eq!(order, Order::new("1", 50, 50));
}

#[tokio::test]
async fn without_two_servers_of_three_requests_get_503_until_they_are_back() {
    let servers = Servers::start(3);
    let urls = servers.urls().join(",");
    let service = start(&[("REDIS_URLS", &urls), ("WAIT_MS", "60000")]).await;
    add(&service, 3).await;

    servers[0].kill();
    servers[1].kill();
    for _ in 0..3 {
        let start = Instant::now();
        let answer = client::add(&service, "/orders/1", 1).await;
        assert!(
            start.elapsed() < Duration::from_secs(5),
            "{:?}",
            start.elapsed()
        );
        assert_eq!(answer.status, 503);
        answer.retry_after();
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    // Requests that need no lock are still answered.
    let order = client::get(&service, "/orders/1").await.order();
    assert_eq!(order, Order::new("1", 3, 3));
    let health = client::get(&service, "/healthz").await;
    assert_eq!(health.status, 200);
    assert!(
        health.body.contains(&servers[0].address()),
        "{}",
        health.body
    );

    servers[0].restart();
    servers[1].restart();
    until_async("it recovers", SOON, async || {
        client::add(&service, "/orders/1", 1).await.status == 200
    })
    .await;
    add(&service, 3).await;
    let order = client::get(&service, "/orders/1").await.order();
    assert_eq!(order, Order::new("1", 7, 7));
}

#[tokio::test]
async fn with_two_hung_servers_of_three_requests_get_503() {
    let servers = Servers::start(3);
    let urls = servers.urls().join(",");
    let service = start(&[("REDIS_URLS", &urls), ("WAIT_MS", "60000")]).await;
    add(&service, 3).await;

    servers[1].stop();
    servers[2].stop();
    let start = Instant::now();
    let answer = client::add(&service, "/orders/1", 1).await;
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(answer.status, 503);
    answer.retry_after();

    servers[1].cont();
    servers[2].cont();
    until_async("it recovers", SOON, async || {
        client::add(&service, "/orders/1", 1).await.status == 200
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_down_at_the_start_is_named_in_the_log() {
    let servers = Servers::start(3);
    let urls = servers.urls().join(",");
    servers[1].kill();
    let service = start(&[("REDIS_URLS", &urls)]).await;
    let address = servers[1].address();
    service.until_logged(1, &["WARN", &address]).await;
    let log = service.log();
    assert!(!log.contains("ERROR"), "{log}");
    add(&service, 3).await;
}

#[tokio::test]
async fn two_servers_that_are_down_at_the_start_may_come_up_later() {
    let servers = Servers::start(3);
    let urls = servers.urls().join(",");
    servers[0].kill();
    servers[1].kill();
    let service = start(&[("REDIS_URLS", &urls)]).await;
    let [one, other] = [0, 1].map(|server| servers[server].address());
    until_async("it is logged", SOON, async || {
        let log = service.log();
        let mut words = ["ERROR", "503", &one, &other].into_iter();
        words.all(|word| log.contains(word))
    })
    .await;
    assert_eq!(client::add(&service, "/orders/1", 1).await.status, 503);

    servers[0].restart();
    until_async("it works", SOON, async || {
        client::add(&service, "/orders/1", 1).await.status == 200
    })
    .await;
}
