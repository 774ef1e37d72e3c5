//! SIGTERM: requests under way are finished, and nothing is left behind.

use redsync_tests::{Servers, wait::until_async};
use tempfile::TempDir;

use crate::{
    client::{self, Order, OrderAnswer},
    service::{SOON, VERBOSE, no_locks, start},
};

#[tokio::test]
async fn requests_that_have_their_order_finish_and_those_that_wait_are_sent_away() {
    let servers = Servers::start(3);
    let urls = servers.urls().join(",");
    let env = [("REDIS_URLS", &*urls), ("WAIT_MS", "60000"), VERBOSE];
    let mut service = start(&env).await;
    let working = tokio::spawn(client::add(&service, "/orders/1", 1500));
    until_async("it is worked on", SOON, async || {
        servers.holders("order:1").iter().all(Option::is_some)
    })
    .await;
    let waiting = tokio::spawn(client::add(&service, "/orders/1", 1));
    service.until_logged(1, &["not acquired", "order:1"]).await;

    service.terminate();
    service.until_logged(1, &["shutting down"]).await;
    let answer = waiting.await.expect("no panic");
    assert_eq!(answer.status, 503, "{}", answer.body);
    answer.retry_after();
    assert!(!working.is_finished(), "it was sent away at once");
    let order = working.await.expect("no panic").order();
    assert_eq!(order, Order::new("1", 1, 1));
    assert_eq!(service.exit().code(), Some(0), "{}", service.log());
    assert!(no_locks(&servers));
}

#[tokio::test]
async fn a_shutdown_does_not_wait_for_the_holder_of_another_process() {
    let servers = Servers::start(3);
    let urls = servers.urls().join(",");
    let expiry = ("EXPIRY_MS", "600000");
    let other = start(&[("REDIS_URLS", &urls), expiry]).await;
    let _working = client::add_and_hang(&other, "1", 600_000).await;
    other.until_logged(1, &[" locked name="]).await;
    let env = [
        ("REDIS_URLS", &*urls),
        ("WAIT_MS", "600000"),
        expiry,
        VERBOSE,
    ];
    let mut service = start(&env).await;
    let waiting = tokio::spawn(client::add(&service, "/orders/1", 1));
    service.until_logged(1, &["not acquired", "order:1"]).await;
    service.terminate();
    assert_eq!(waiting.await.expect("no panic").status, 503);
    assert_eq!(service.exit().code(), Some(0), "{}", service.log());
}

/// Repeated, because a server may report the end of all connections just before the last one drops
/// its request, and with it the lock.
#[tokio::test]
async fn requests_that_are_cut_off_leave_no_lock() {
    let servers = Servers::start(3);
    let urls = servers.urls().join(",");
    for _ in 0..10 {
        let mut service = start(&[("REDIS_URLS", &urls), ("EXPIRY_MS", "600000")]).await;
        let client = client::add_and_hang(&service, "1", 600_000).await;
        service.until_logged(1, &[" locked name="]).await;
        service.terminate();
        service.until_logged(1, &["shutting down"]).await;
        drop(client);
        assert_eq!(service.exit().code(), Some(0), "{}", service.log());
        assert!(no_locks(&servers));
    }
}

#[tokio::test]
async fn the_temporary_database_is_removed() {
    let directory = TempDir::new().expect("a directory");
    let path = directory.path().to_str().expect("a path");
    let mut service = start(&[("TMPDIR", path)]).await;
    assert_eq!(client::add(&service, "/orders/1", 1).await.status, 200);
    let entries = || directory.path().read_dir().expect("a directory").count();
    assert_eq!(entries(), 1);
    service.terminate();
    assert_eq!(service.exit().code(), Some(0), "{}", service.log());
    assert_eq!(entries(), 0);
}
