//! The answers of the layer: which status, which headers, which body.

use std::error::Error;

use axum::{Router, body::Body, response::IntoResponse, routing};
use http::{HeaderValue, Request, Response, StatusCode, header};
use redsync::LockError;
use redsync_tower::{
    LockRejection, LockRejectionReason as Reason, RedlockLayer,
    key::{self, Key, KeyError, LockKey},
};
use tokio::time::Instant;

use crate::support::{Log, Nodes, ms, post, refusal, rejection, secs, send, text};

fn orders(nodes: &Nodes) -> RedlockLayer<key::PathKey> {
    RedlockLayer::new(nodes.redsync(), key::path("order:{id}"))
}

fn app<K>(layer: RedlockLayer<K>) -> Router
where
    K: Key<Body, Future: Send> + Clone + Send + Sync + 'static,
{
    let handler = routing::post(|| async { "done" }).route_layer(layer);
    Router::new().route("/orders/{id}", handler)
}

#[tokio::test(start_paused = true)]
async fn a_taken_lock_is_409_at_once() {
    let nodes = Nodes::new();
    let app = app(orders(&nodes));
    let guard = nodes.redsync().mutex("order:1").lock().await.unwrap();

    let start = Instant::now();
    let response = send(&app, post("/orders/1")).await;
    let after = refusal(response, StatusCode::CONFLICT, Reason::Taken).await;
    assert_eq!(start.elapsed(), ms(0));
    assert_eq!(after, Some(1));

    guard.release().await.unwrap();
    let response = send(&app, post("/orders/1")).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert!(rejection(&response).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_still_taken_after_the_wait_is_423() {
    let nodes = Nodes::new();
    let app = app(orders(&nodes).with_wait(ms(2500)));
    let guard = nodes.redsync().mutex("order:1").lock().await.unwrap();

    let start = Instant::now();
    let response = send(&app, post("/orders/1")).await;
    assert_eq!(start.elapsed(), ms(2500));
    let after = refusal(response, StatusCode::LOCKED, Reason::TimedOut).await;
    assert_eq!(after, Some(1));
    drop(guard);
}

#[tokio::test(start_paused = true)]
async fn a_wait_of_zero_does_not_wait() {
    let nodes = Nodes::new();
    let app = app(orders(&nodes).with_wait(secs(0)));
    let _guard = nodes.redsync().mutex("order:1").lock().await.unwrap();
    let response = send(&app, post("/orders/1")).await;
    refusal(response, StatusCode::CONFLICT, Reason::Taken).await;
}

#[tokio::test(start_paused = true)]
async fn too_few_nodes_are_503_within_a_second() {
    let nodes = Nodes::new();
    nodes.take_down(2);
    for layer in [orders(&nodes), orders(&nodes).with_wait(secs(60))] {
        let app = app(layer);
        let start = Instant::now();
        let response = send(&app, post("/orders/1")).await;
        assert!(start.elapsed() <= secs(1), "{:?}", start.elapsed());
        let source = rejection(&response).and_then(|rejection| {
            let source = rejection.source()?.downcast_ref()?;
            matches!(source, LockError::Unavailable(_)).then_some(())
        });
        assert!(source.is_some(), "the error is the source");
        let after = refusal(
            response,
            StatusCode::SERVICE_UNAVAILABLE,
            Reason::Unavailable,
        )
        .await;
        assert!(after.is_some());
    }
    nodes.take_down(1);
    let response = send(&app(orders(&nodes)), post("/orders/1")).await;
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn an_outage_can_be_waited_for() {
    let nodes = Nodes::new();
    nodes.take_down(3);
    let app = app(orders(&nodes)
        .with_wait(secs(10))
        .with_outage_attempts(u32::MAX));
    let request = send(&app, post("/orders/1"));
    let recovery = async {
        tokio::time::sleep(secs(5)).await;
        nodes.take_down(0);
    };
    let (response, ()) = tokio::join!(request, recovery);
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_header_that_is_missing_or_malformed_is_400() {
    let nodes = Nodes::new();
    let app = app(RedlockLayer::new(
        nodes.redsync(),
        key::header("idempotency-key"),
    ));
    let cases: [&[&[u8]]; 5] = [&[], &[b""], &[b"a", b"b"], &[b"a", b"a"], &[b"\xff\xfe"]];
    for values in cases {
        let mut request = post("/orders/1");
        for value in values {
            let value = HeaderValue::from_bytes(value).unwrap();
            request.headers_mut().append("idempotency-key", value);
        }
        let response = send(&app, request).await;
        let after = refusal(response, StatusCode::BAD_REQUEST, Reason::BadRequest).await;
        assert_eq!(after, None);
    }
    assert_eq!(nodes.tries(), 0);

    let mut request = post("/orders/1");
    let value = HeaderValue::from_static("8e03978e");
    request.headers_mut().insert("idempotency-key", value);
    assert_eq!(send(&app, request).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_parameter_that_is_malformed_is_400() {
    let nodes = Nodes::new();
    let app = app(orders(&nodes));
    for uri in ["/orders/%FF", "/orders/a%C3"] {
        let response = send(&app, post(uri)).await;
        let after = refusal(response, StatusCode::BAD_REQUEST, Reason::BadRequest).await;
        assert_eq!(after, None, "{uri}");
    }
    assert_eq!(nodes.tries(), 0);
    // A long one is not malformed.
    let long = format!("/orders/{}", "x".repeat(5000));
    assert_eq!(send(&app, post(&long)).await.status(), StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn an_outage_does_not_log_a_line_for_each_request() {
    let nodes = Nodes::new();
    let app = app(orders(&nodes));
    nodes.take_down(2);
    let (log, _listening) = Log::listen();
    for _ in 0..20 {
        let response = send(&app, post("/orders/1")).await;
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
    let logged = log.take();
    assert!(!logged.contains("redsync_tower"), "{logged}");
    assert!(logged.contains("too few nodes answer"), "{logged}");
}

#[tokio::test]
async fn a_mistake_in_the_program_is_500_and_logged() {
    let nodes = Nodes::new();
    let redsync = nodes.redsync();
    let (log, _listening) = Log::listen();

    let no_parameter = app(RedlockLayer::new(redsync.clone(), key::path("item:{sku}")));
    let closure = app(RedlockLayer::new(redsync, |_: &Request<_>| {
        Err::<LockKey, _>(KeyError::Misconfigured("the tenant is missing".into()))
    }));
    for (app, which) in [
        (
            no_parameter,
            ["`sku`", "item:{sku}", "POST", "route=/orders/{id}"],
        ),
        (
            closure,
            ["the tenant is missing", "route", "POST", "/orders/{id}"],
        ),
    ] {
        let response = send(&app, post("/orders/1")).await;
        let words = rejection(&response).map(|rejection| rejection.to_string());
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        let after = refusal(response, status, Reason::Misconfigured).await;
        assert_eq!(after, None);
        // It is for the log, and no business of the client.
        assert!(!words.unwrap().contains(which[0]), "{which:?}");
        let logged = log.take();
        assert_eq!(logged.lines().count(), 1, "{logged}");
        for word in which.into_iter().chain(["ERROR"]) {
            assert!(logged.contains(word), "{word}: {logged}");
        }
    }
    assert_eq!(nodes.tries(), 0);
}

#[tokio::test]
async fn a_refusal_names_neither_the_lock_nor_a_node() {
    let nodes = Nodes::new();
    let app = app(orders(&nodes));
    let _guard = nodes.redsync().mutex("order:1").lock().await.unwrap();
    let taken = text(send(&app, post("/orders/1")).await).await;
    nodes.take_down(2);
    let unavailable = text(send(&app, post("/orders/1")).await).await;
    for body in [taken, unavailable] {
        assert!(
            !body.contains("order:1") && !body.contains("memory-"),
            "{body}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn the_status_of_contention_can_be_chosen() {
    let nodes = Nodes::new();
    let _guard = nodes.redsync().mutex("order:1").lock().await.unwrap();
    for (status, wait, reason) in [
        (StatusCode::CONFLICT, ms(0), Reason::Taken),
        (StatusCode::CONFLICT, ms(100), Reason::TimedOut),
        (StatusCode::LOCKED, ms(0), Reason::Taken),
        (StatusCode::LOCKED, ms(100), Reason::TimedOut),
        (StatusCode::TOO_MANY_REQUESTS, ms(0), Reason::Taken),
    ] {
        let layer = orders(&nodes).with_wait(wait);
        let app = app(layer.with_contention_status(status));
        let response = send(&app, post("/orders/1")).await;
        assert!(refusal(response, status, reason).await.is_some());
    }
    // Nothing else is contention.
    let app = app(orders(&nodes).with_contention_status(StatusCode::LOCKED));
    let response = send(&app, post("/orders/%FF")).await;
    refusal(response, StatusCode::BAD_REQUEST, Reason::BadRequest).await;
    nodes.take_down(3);
    let response = send(&app, post("/orders/1")).await;
    refusal(
        response,
        StatusCode::SERVICE_UNAVAILABLE,
        Reason::Unavailable,
    )
    .await;
}

#[tokio::test]
async fn a_hook_builds_any_response() {
    let nodes = Nodes::new();
    let layer = orders(&nodes)
        .with_contention_status(StatusCode::LOCKED)
        .with_response(|rejection: &LockRejection| {
            let words = format!("{:?} {}", rejection.reason(), rejection.status());
            let teapot = Response::builder().status(StatusCode::IM_A_TEAPOT);
            teapot.header("x-lock", "no").body(words).unwrap()
        });
    let app = app(layer);
    let _guard = nodes.redsync().mutex("order:1").lock().await.unwrap();
    for (uri, words, reason) in [
        ("/orders/1", "Taken 423 Locked", Reason::Taken),
        (
            "/orders/%FF",
            "BadRequest 400 Bad Request",
            Reason::BadRequest,
        ),
    ] {
        let response = send(&app, post(uri)).await;
        assert_eq!(response.status(), StatusCode::IM_A_TEAPOT);
        assert_eq!(response.headers()["x-lock"], "no");
        assert!(!response.headers().contains_key(header::RETRY_AFTER));
        assert_eq!(rejection(&response).map(|r| r.reason()), Some(reason));
        assert_eq!(text(response).await, words);
    }
}

#[tokio::test]
async fn a_rejection_is_a_response_of_axum() {
    let error = KeyError::BadRequest("who are you?".into());
    let response = LockRejection::from(error).into_response();
    let after = refusal(response, StatusCode::BAD_REQUEST, Reason::BadRequest).await;
    assert_eq!(after, None);
}

#[tokio::test]
async fn a_service_can_name_its_own_problem_types() {
    let nodes = Nodes::new();
    let _guard = nodes.redsync().mutex("order:1").lock().await.unwrap();
    let types = "https://api.example.com/problems#";
    let mut lock = orders(&nodes).with_problem_types(types).with_wait(ms(1));
    for (reason, problem) in [
        (Reason::TimedOut, "timed-out"),
        (Reason::TooManyWaiting, "too-many-waiting"),
    ] {
        let response = send(&app(lock.clone()), post("/orders/1")).await;
        let rejection = rejection(&response).expect("a rejection");
        assert_eq!(rejection.reason(), reason);
        let body: serde_json::Value = serde_json::from_str(&text(response).await).unwrap();
        assert_eq!(body["type"], format!("{types}{problem}"));
        assert_eq!(body["type"], &*rejection.problem_type());
        lock = lock.with_max_pending_per_key(0);
    }
}
