//! A process that is killed, and a client that hangs up, while they hold a lock.

use std::time::{Duration, Instant};

use redsync_tests::{Servers, wait::until_async};

use crate::{
    client::{self, Order, OrderAnswer},
    service::{SOON, VERBOSE, no_locks, start},
};

async fn until_held(servers: &Servers) {
    until_async("the lock is held", SOON, async || {
        servers.holders("order:1").iter().all(Option::is_some)
    })
    .await;
}

#[tokio::test]
async fn the_lock_of_a_killed_process_is_free_after_the_expiry_and_not_before() {
    const EXPIRY: Duration = Duration::from_millis(3000);

    let servers = Servers::start(3);
    let urls = servers.urls().join(",");
    let env = [
        ("REDIS_URLS", &*urls),
        ("EXPIRY_MS", "3000"),
        ("WAIT_MS", "60000"),
    ];
    let mut holder = start(&env).await;
    let other = start(&env).await;
    let _client = client::add_and_hang(&holder, "1", 600_000).await;
    until_held(&servers).await;

    holder.kill();
    let killed = Instant::now();
    let mut left: Vec<_> = (servers.iter())
        .map(|server| server.pttl("order:1"))
        .map(|left| Duration::from_millis(left.try_into().unwrap_or_default()))
        .collect();
    left.sort();
    // A lock takes two of three servers, whose clocks may be read up to 1 ms apart.
    let expires = killed + left[1].saturating_sub(Duration::from_millis(2));
    assert!(left[1] > Duration::from_millis(500), "{left:?}");

    let order = client::add(&other, "/orders/1", 1).await.order();
    assert!(
        Instant::now() >= expires,
        "{:?} too early",
        expires - Instant::now()
    );
    assert!(killed.elapsed() < EXPIRY + SOON, "{:?}", killed.elapsed());
    // The killed process has written nothing.
    assert_eq!(order, Order::new("1", 1, 1));
}

#[tokio::test]
async fn the_lock_of_a_client_that_hangs_up_is_free_at_once() {
    let servers = Servers::start(3);
    let urls = servers.urls().join(",");
    let service = start(&[
        ("REDIS_URLS", &urls),
        ("EXPIRY_MS", "600000"),
        ("WAIT_MS", "600000"),
    ])
    .await;
    let client = client::add_and_hang(&service, "1", 600_000).await;
    until_held(&servers).await;
    let waiting = tokio::spawn(client::add(&service, "/orders/1", 1));

    drop(client);
    let order = tokio::time::timeout(SOON, waiting).await;
    let order = order.expect("at once").expect("no panic").order();
    assert_eq!(order, Order::new("1", 1, 1));
    until_async("no lock is left", SOON, async || no_locks(&servers)).await;
}

#[tokio::test]
async fn a_client_that_hangs_up_while_it_waits_is_forgotten() {
    let servers = Servers::start(3);
    let urls = servers.urls().join(",");
    let service = start(&[
        ("REDIS_URLS", &urls),
        ("EXPIRY_MS", "600000"),
        ("WAIT_MS", "600000"),
        VERBOSE,
    ])
    .await;
    let holder = client::add_and_hang(&service, "1", 600_000).await;
    until_held(&servers).await;
    // If it acquired the lock, its work would never end.
    let waiting = client::add_and_hang(&service, "1", 600_000).await;
    service.until_logged(1, &["not acquired", "order:1"]).await;
    let third = tokio::spawn(client::add(&service, "/orders/1", 1));
    drop(waiting);
    drop(holder);
    let order = tokio::time::timeout(SOON, third).await;
    let order = order.expect("at once").expect("no panic").order();
    assert_eq!(order, Order::new("1", 1, 1));
}
