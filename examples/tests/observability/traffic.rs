//! Requests that meet contention, a loss and an outage.

use axum::http::Method;
use redsync_tests::{
    Servers, Service,
    http::{Answer, try_send},
    program::SOON,
    wait::until_async,
};
use tokio::task::JoinHandle;

fn change(service: &Service, order: u32, work_ms: u32) -> JoinHandle<Answer> {
    let url = service.url(&format!("/orders/{order}?work_ms={work_ms}"));
    tokio::spawn(async move {
        let answer = try_send(Method::PUT, &url, &[], "").await;
        answer.expect("an answer")
    })
}

/// One request waits for another, up to its limit.
pub(crate) async fn contention(service: &Service) {
    let locked = service.log().matches("locked").count();
    let first = change(service, 1, 2000);
    service
        .until_logged(locked + 1, &["locked", "order:1"])
        .await;
    assert_eq!(change(service, 1, 0).await.expect("no panic").status, 423);
    assert_eq!(first.await.expect("no panic").status, 200);
}

/// The process stands still until the lock of a request has expired.
pub(crate) async fn loss(service: &Service, servers: &Servers) {
    let request = change(service, 2, 600_000);
    service.until_logged(1, &["locked", "order:2"]).await;
    service.pause();
    until_async("the lock expires", SOON, async || {
        servers.holders("order:2") == [None, None, None]
    })
    .await;
    service.resume();
    assert_eq!(request.await.expect("no panic").status, 500);
    service
        .until_logged(1, &["WARN", "the lock was lost"])
        .await;
}

/// Two of three nodes are down.
pub(crate) async fn outage(service: &Service, servers: &Servers) {
    servers[0].kill();
    servers[1].kill();
    assert_eq!(change(service, 3, 0).await.expect("no panic").status, 503);
    until_async("it is logged", SOON, async || {
        service.log().contains("too few nodes answer")
    })
    .await;
}
