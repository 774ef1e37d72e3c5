//! What a repeated request gets.

use axum::http::Method;
use redsync_tests::{Service, wait::until_async};

use crate::client::{Replayed as _, SOON, charge, charges, send};

async fn start() -> Service {
    Service::start("idempotency", &[]).await
}

#[tokio::test]
async fn a_later_duplicate_gets_the_stored_answer_and_is_no_second_charge() {
    let service = start().await;
    let first = charge(&service, "k", 100, 0).await;
    assert_eq!((first.status, first.is_replayed()), (201, false));
    let again = charge(&service, "k", 100, 0).await;
    assert_eq!((again.status, again.is_replayed()), (201, true));
    assert_eq!(again.body, first.body);
    assert_eq!(charges(&service, "alice").await, 1);
    assert_eq!(charge(&service, "other", 100, 0).await.status, 201);
    assert_eq!(charges(&service, "alice").await, 2);
}

#[tokio::test]
async fn a_refusal_is_stored_too() {
    let service = start().await;
    let first = charge(&service, "k", 10_001, 0).await;
    assert_eq!((first.status, first.is_replayed()), (402, false));
    let again = charge(&service, "k", 10_001, 0).await;
    assert_eq!((again.status, again.is_replayed()), (402, true));
    assert_eq!(again.body, first.body);
    assert_eq!(charges(&service, "alice").await, 0);
}

#[tokio::test]
async fn a_key_is_refused_for_another_payload() {
    let service = start().await;
    assert_eq!(charge(&service, "k", 100, 0).await.status, 201);
    let other = charge(&service, "k", 200, 0).await;
    assert_eq!((other.status, other.is_replayed()), (422, false));
    assert_eq!(other.headers["content-type"], "application/problem+json");
    assert_eq!(charges(&service, "alice").await, 1);
}

#[tokio::test]
async fn a_key_counts_for_one_customer() {
    let service = start().await;
    assert_eq!(charge(&service, "k", 100, 0).await.status, 201);
    let headers = [("authorization", "Bearer bob"), ("idempotency-key", "k")];
    let body = r#"{"amount": 200}"#;
    let bobs = send(&service, Method::POST, "/charges", &headers, body).await;
    assert_eq!((bobs.status, bobs.is_replayed()), (201, false));
    assert_eq!(charges(&service, "alice").await, 1);
    assert_eq!(charges(&service, "bob").await, 1);
}

#[tokio::test]
async fn an_answer_is_forgotten_after_its_time() {
    let service = Service::start("idempotency", &[("KEEP_S", "1")]).await;
    assert_eq!(charge(&service, "k", 100, 0).await.status, 201);
    until_async("it is forgotten", SOON, async || {
        !charge(&service, "k", 100, 0).await.is_replayed()
    })
    .await;
    assert_eq!(charges(&service, "alice").await, 2);
}
