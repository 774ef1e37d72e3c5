//! The statement that writes an order refuses what comes too late.

use std::time::Duration;

use rusqlite::Connection;
use tempfile::TempDir;

use crate::{
    client::{self, Order, OrderAnswer},
    service::{SOON, World, start},
};

#[tokio::test]
async fn a_write_with_a_smaller_token_than_the_row_has_seen_is_refused() {
    let directory = TempDir::new().expect("a directory");
    let database = directory.path().join("orders.sqlite");
    let service = start(&[("DATABASE", database.to_str().expect("a path"))]).await;
    client::add(&service, "/orders/1", 1).await.order();
    let order = client::add(&service, "/orders/1", 1).await.order();
    assert_eq!(order, Order::new("1", 2, 2));

    // As if a later holder had written.
    let connection = Connection::open(&database).expect("a database");
    connection.busy_timeout(SOON).expect("a time limit");
    let written = connection.execute("UPDATE orders SET token = token * 2", []);
    assert_eq!(written.expect("written"), 1);
    let answer = client::add(&service, "/orders/1", 1).await;
    assert_eq!(answer.status, 409, "{}", answer.body);
    assert!(answer.body.contains("later lock"), "{}", answer.body);
    // Nor is one without a token written.
    let answer = client::add(&service, "/unlocked/orders/1", 1).await;
    assert_eq!(answer.status, 409, "{}", answer.body);
    let order = client::get(&service, "/orders/1").await.order();
    assert_eq!(order, Order::new("1", 2, 2));
}

/// Its write would come between the read and the write of the later holder, which would overwrite it.
#[tokio::test]
async fn a_late_write_is_refused_as_soon_as_a_later_holder_has_read() {
    let world = World::start();
    // Neither extends its lock during the test, so the first does not find out that it is lost.
    let env = [
        ("EXPIRY_MS", "600000"),
        ("WAIT_MS", "60000"),
        ("RUST_LOG", "info,orders=debug"),
    ];
    let first = world.copy(&env).await;
    let second = world.copy(&env).await;
    let late = tokio::spawn(client::add(&first, "/orders/1", 2000));
    first.until_logged(1, &["order 1 was read"]).await;
    world.pause(&first);
    // As if the lock of the first had expired.
    for server in world.servers() {
        server.command(&["DEL", "order:1"]);
    }
    let later = tokio::spawn(client::add(&second, "/orders/1", 600_000));
    second.until_logged(1, &["order 1 was read"]).await;
    first.resume();
    // The release says that the lock is lost, unless the nodes answer it too late, on a busy machine. What
    // counts is what was written.
    let late = late.await.expect("no panic");
    assert!(matches!(late.status, 500 | 409), "{}", late.status);
    let order = client::get(&second, "/orders/1").await;
    assert_eq!(order.status, 404, "{}", order.body);
    later.abort();
}

#[tokio::test]
async fn a_process_that_was_paused_for_too_long_overwrites_nothing() {
    let world = World::start();
    let env = [
        ("EXPIRY_MS", "2000"),
        ("WAIT_MS", "60000"),
        ("RUST_LOG", "info,orders=debug"),
    ];
    let paused = world.copy(&env).await;
    let other = world.copy(&env).await;
    let late = tokio::spawn(client::add(&paused, "/orders/1", 2000));
    // Its keys alone do not say that it knows of its lock. Without it, it would lock again later.
    paused.until_logged(1, &["order 1 was read"]).await;
    world.pause(&paused);
    let order = client::add(&other, "/orders/1", 1).await.order();
    assert_eq!(order, Order::new("1", 1, 1));
    paused.resume();
    let late = tokio::time::timeout(Duration::from_secs(60), late).await;
    let late = late.expect("an answer").expect("no panic");
    // Its lock is lost, or its token is too small, whichever it notices first.
    assert!(matches!(late.status, 500 | 409), "{}", late.status);
    let order = client::get(&other, "/orders/1").await.order();
    assert_eq!(order, Order::new("1", 1, 1));
}
