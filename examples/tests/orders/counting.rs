//! Many requests for one order: each is counted once.

use redsync_tests::{Service, http::Answer, wait::until_async};
use tempfile::TempDir;
use tokio::task::JoinSet;

use crate::{
    client::{self, Order, OrderAnswer},
    service::{SOON, World, no_locks, start},
};

/// The answers to `count` requests at the same time, spread over services.
async fn add_many(services: &[&Service], path: &str, work_ms: u64, count: usize) -> Vec<Answer> {
    let requests: JoinSet<_> = (0..count)
        .map(|number| client::add(services[number % services.len()], path, work_ms))
        .collect();
    requests.join_all().await
}

fn count(answers: &[Answer], status: u16) -> i64 {
    let with = answers.iter().filter(|answer| answer.status == status);
    i64::try_from(with.count()).expect("few")
}

#[tokio::test]
async fn two_hundred_requests_at_once_lose_no_update_with_the_lock_and_some_without() {
    let service = start(&[("WAIT_MS", "60000")]).await;
    let answers = add_many(&[&service], "/orders/42", 1, 200).await;
    assert_eq!(count(&answers, 200), 200);
    let order = client::get(&service, "/orders/42").await.order();
    assert_eq!(order, Order::new("42", 200, 200));

    let answers = add_many(&[&service], "/unlocked/orders/43", 20, 200).await;
    assert_eq!(count(&answers, 200), 200);
    let order = client::get(&service, "/orders/43").await.order();
    assert!(order.quantity < 200, "{order:?}");
    assert!(order.quantity > 0, "{order:?}");
}

#[tokio::test]
async fn different_orders_do_not_wait_for_each_other() {
    let service = start(&[("WAIT_MS", "0")]).await;
    let first = client::add_and_hang(&service, "1", 60_000).await;
    service.until_logged(1, &[" locked name=", "order:1"]).await;
    assert_eq!(client::add(&service, "/orders/1", 1).await.status, 409);
    let order = client::add(&service, "/orders/2", 1).await.order();
    assert_eq!(order, Order::new("2", 1, 1));
    drop(first);
}

#[tokio::test]
async fn two_processes_with_one_database_count_each_200_once() {
    let world = World::start();
    let env = [("WAIT_MS", "60000")];
    let services = [world.copy(&env).await, world.copy(&env).await];
    let answers = add_many(&[&services[0], &services[1]], "/orders/42", 1, 400).await;
    let counted = count(&answers, 200);
    for answer in &answers {
        // On a busy machine some may time out.
        assert!(
            matches!(answer.status, 200 | 423 | 503),
            "{}",
            answer.status
        );
    }
    assert!(counted > 0);
    for service in &services {
        let order = client::get(service, "/orders/42").await.order();
        assert_eq!(order, Order::new("42", counted, counted));
    }
    until_async("no lock is left", SOON, async || no_locks(world.servers())).await;
}

#[tokio::test]
async fn without_waiting_some_requests_are_refused_and_the_others_counted() {
    let service = start(&[("WAIT_MS", "0")]).await;
    let answers = add_many(&[&service], "/orders/42", 100, 50).await;
    let (counted, refused) = (count(&answers, 200), count(&answers, 409));
    assert_eq!(counted + refused, 50);
    assert!(counted > 0 && refused > 0, "{counted} and {refused}");
    for answer in answers.iter().filter(|answer| answer.status == 409) {
        assert!(answer.retry_after() <= 8);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
    }
    let order = client::get(&service, "/orders/42").await.order();
    assert_eq!(order, Order::new("42", counted, counted));
}

#[tokio::test]
async fn a_wait_that_is_too_short_ends_with_423() {
    let service = start(&[("WAIT_MS", "100")]).await;
    let first = client::add_and_hang(&service, "1", 60_000).await;
    service.until_logged(1, &[" locked name=", "order:1"]).await;
    let answer = client::add(&service, "/orders/1", 1).await;
    assert_eq!(answer.status, 423);
    assert!(answer.retry_after() <= 8);
    drop(first);
}

#[tokio::test]
async fn copies_that_start_at_the_same_time_share_a_new_database() {
    for _ in 0..25 {
        let directory = TempDir::new().expect("a directory");
        let database = directory.path().join("orders.sqlite");
        let path = database.to_str().expect("a path");
        let env = [("DATABASE", path)];
        let start = || start(&env);
        let copies: [Service; 4] = tokio::join!(start(), start(), start(), start()).into();
        let added = client::add(&copies[0], "/orders/1", 1).await.order();
        for copy in &copies {
            assert_eq!(client::get(copy, "/orders/1").await.order(), added);
        }
    }
}
