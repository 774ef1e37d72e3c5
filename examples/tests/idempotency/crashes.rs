//! A copy of the program that is killed.

use std::time::Duration;

use axum::http::Method;
use redsync_tests::{
    Service,
    http::{Answer, try_send},
    wait::until_async,
};

use crate::client::{Replayed as _, SOON, World, charge, charges};

/// Repeats a request until the lock of a killed copy has expired.
async fn repeat(service: &Service) -> Answer {
    let mut answer = None;
    until_async("the lock expires", SOON, async || {
        let next = charge(service, "k", 100, 0).await;
        answer = (next.status != 409).then_some(next);
        answer.is_some()
    })
    .await;
    answer.expect("just seen")
}

/// Sends Alice's charge, with the key `k`, to a copy that may not live to answer.
async fn send_to(url: String) -> Option<Answer> {
    let headers = [("authorization", "Bearer alice"), ("idempotency-key", "k")];
    let answer = try_send(Method::POST, &url, &headers, r#"{"amount": 100}"#).await;
    answer.ok()
}

/// Sends a charge, and kills the copy as soon as the condition holds.
async fn kill_when(service: &mut Service, work_ms: u64, mut condition: impl FnMut() -> bool) {
    let url = service.url(&format!("/charges?work_ms={work_ms}"));
    let client = tokio::spawn(send_to(url));
    until_async("the moment has come", SOON, async || condition()).await;
    service.kill();
    assert!(client.await.expect("no panic").is_none(), "an answer");
}

#[tokio::test]
async fn a_kill_between_the_charge_and_its_answer_leaves_neither() {
    let world = World::start();
    let mut killed = world.copy().await;
    let other = world.copy().await;
    // The transaction stands still where it stores the answer.
    let database = world.database();
    database
        .execute_batch(
            "CREATE TRIGGER endless BEFORE UPDATE OF status ON answers BEGIN
                SELECT max(i) FROM (WITH RECURSIVE n (i) AS
                    (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n);
            END",
        )
        .expect("a trigger");
    database.busy_timeout(Duration::ZERO).expect("set");
    // Other transactions are short.
    let mut writing = 0;
    let stands_still = || {
        let is_writing = database.execute_batch("BEGIN IMMEDIATE; ROLLBACK").is_err();
        writing = if is_writing { writing + 1 } else { 0 };
        writing == 50
    };
    kill_when(&mut killed, 0, stands_still).await;
    assert_eq!(charges(&other, "alice").await, 0);
    database
        .execute_batch("DROP TRIGGER endless")
        .expect("no trigger");

    let answer = repeat(&other).await;
    assert_eq!((answer.status, answer.is_replayed()), (201, false));
    assert_eq!(charges(&other, "alice").await, 1);
    assert!(charge(&other, "k", 100, 0).await.is_replayed());
}

#[tokio::test]
async fn an_answer_is_kept_from_when_it_was_given_and_not_from_an_earlier_crash() {
    let world = World::start();
    let mut killed = world.copy().await;
    let other = world.copy().await;
    kill_when(&mut killed, 600_000, || world.token().is_some()).await;
    let database = world.database();
    let nearly_a_day_passes = || {
        let older = "UPDATE answers SET kept_from = kept_from - 86000";
        assert_eq!(database.execute(older, ()).expect("a row"), 1);
    };

    nearly_a_day_passes();
    assert_eq!(repeat(&other).await.status, 201);
    nearly_a_day_passes();
    assert!(charge(&other, "k", 100, 0).await.is_replayed());
    assert_eq!(charges(&other, "alice").await, 1);
}

#[tokio::test]
async fn a_kill_during_the_work_leaves_nothing() {
    let world = World::start();
    let mut killed = world.copy().await;
    let other = world.copy().await;
    kill_when(&mut killed, 600_000, || world.token().is_some()).await;

    let answer = repeat(&other).await;
    assert_eq!((answer.status, answer.is_replayed()), (201, false));
    assert_eq!(charges(&other, "alice").await, 1);
}

#[tokio::test]
async fn a_charge_that_is_under_way_at_a_shutdown_is_made() {
    let world = World::start();
    let mut service = world.copy().await;
    let url = service.url("/charges?work_ms=1000");
    let client = tokio::spawn(send_to(url));
    until_async("it is worked on", SOON, async || world.token().is_some()).await;
    service.terminate();
    let answer = client.await.expect("no panic").expect("an answer");
    assert_eq!(answer.status, 201);
    assert_eq!(service.exit().code(), Some(0), "{}", service.log());
    assert!(world.is_free("k"));
}
