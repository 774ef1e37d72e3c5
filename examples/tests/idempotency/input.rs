//! Requests without a customer or a key.

use axum::http::Method;
use redsync_tests::Service;

use crate::client::{Replayed as _, charge, charges, send};

const BODY: &str = r#"{"amount": 100}"#;
const ALICE: (&str, &str) = ("authorization", "Bearer alice");

#[tokio::test]
async fn a_charge_needs_exactly_one_proper_key() {
    let service = Service::start("idempotency", &[]).await;
    let long = "k".repeat(256);
    for keys in [
        &[][..],
        &[""],
        &["a", "a"],
        &["a b"],
        &["\"\""],
        &["\"a"],
        &["a\\b"],
        &[&long],
    ] {
        let keys = keys.iter().map(|key| ("idempotency-key", *key));
        let headers: Vec<_> = [ALICE].into_iter().chain(keys).collect();
        let answer = send(&service, Method::POST, "/charges", &headers, BODY).await;
        assert_eq!(answer.status, 400, "{headers:?}");
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert!(answer.body.contains("Idempotency-Key"), "{}", answer.body);
    }
    assert_eq!(charges(&service, "alice").await, 0);
    assert_eq!(charge(&service, &long[1..], 100, 0).await.status, 201);
}

#[tokio::test]
async fn a_key_is_the_same_with_quotes_and_without() {
    let service = Service::start("idempotency", &[]).await;
    assert!(!charge(&service, "k", 100, 0).await.is_replayed());
    assert!(charge(&service, "\"k\"", 100, 0).await.is_replayed());
}

#[tokio::test]
async fn a_customer_is_needed_before_a_key() {
    let service = Service::start("idempotency", &[]).await;
    for headers in [&[][..], &[("authorization", "Bearer a:b")]] {
        let answer = send(&service, Method::POST, "/charges", headers, BODY).await;
        assert_eq!(answer.status, 401);
        assert!(answer.headers.contains_key("www-authenticate"));
    }
}

#[tokio::test]
async fn a_mistake_in_the_payload_does_not_use_up_the_key() {
    let service = Service::start("idempotency", &[]).await;
    let headers = [ALICE, ("idempotency-key", "k")];
    let answer = send(&service, Method::POST, "/charges", &headers, "{").await;
    assert_eq!(answer.status, 400);
    assert_eq!(charge(&service, "k", 100, 0).await.status, 201);
}
