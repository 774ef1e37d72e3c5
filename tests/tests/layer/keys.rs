//! From requests to names: which requests have the same key, and which never have.

use std::{collections::HashMap, panic};

use axum::{Extension, Router, routing};
use http::{HeaderValue, Request, StatusCode};
use redsync_tower::{
    HeldLock, RedlockLayer,
    key::{self, LockKey},
};
use tower::Layer;

use crate::support::{Log, Nodes, post, send, text};

/// Answers with the name of the lock.
async fn name(lock: Option<HeldLock>) -> String {
    lock.map_or("none".to_owned(), |lock| lock.name().to_owned())
}

/// Percent-encodes all bytes but letters and digits.
fn encode(value: &str) -> String {
    value
        .bytes()
        .map(|byte| match byte {
            b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => char::from(byte).to_string(),
            _ => format!("%{byte:02X}"),
        })
        .collect()
}

fn app(route: &str, template: &str) -> Router {
    let nodes = Nodes::new();
    let lock = RedlockLayer::new(nodes.redsync(), key::path(template));
    Router::new().route(route, routing::post(name).route_layer(lock))
}

async fn names(app: &Router, uris: &[&str]) -> Vec<String> {
    let mut names = Vec::new();
    for uri in uris {
        let response = send(app, post(uri)).await;
        assert_eq!(response.status(), StatusCode::OK, "{uri}");
        names.push(text(response).await);
    }
    names
}

#[tokio::test]
async fn a_parameter_is_decoded_and_then_encoded() {
    let app = app("/orders/{id}", "order:{id}");
    let uris = [
        "/orders/1",
        "/orders/%31",
        "/orders/a%3Ab",
        "/orders/a:b",
        "/orders/a%253Ab",
        "/orders/%C3%A4",
        "/orders/a-b.c_d~",
    ];
    assert_eq!(
        names(&app, &uris).await,
        [
            "order:1",
            "order:1",
            "order:a%3Ab",
            "order:a%3Ab",
            "order:a%253Ab",
            "order:%C3%A4",
            "order:a-b.c_d~",
        ]
    );
}

#[tokio::test]
async fn two_spellings_exclude_each_other() {
    let nodes = Nodes::new();
    let lock = RedlockLayer::new(nodes.redsync(), key::path("order:{id}"));
    let app = Router::new().route("/orders/{id}", routing::post(name).route_layer(lock));
    let _guard = nodes.redsync().mutex("order:1").lock().await.unwrap();
    for (uri, status) in [
        ("/orders/1", StatusCode::CONFLICT),
        ("/orders/%31", StatusCode::CONFLICT),
        ("/orders/01", StatusCode::OK),
        ("/orders/1%3A", StatusCode::OK),
        ("/orders/2", StatusCode::OK),
    ] {
        assert_eq!(send(&app, post(uri)).await.status(), status, "{uri}");
    }
}

#[tokio::test]
async fn several_parameters_are_not_confused() {
    const VALUES: [&str; 18] = [
        "a", "A", "b", "ab", ":", "a:", ":a", "a:b", "%3A", "a%3A", "%", "%25", "/", "a/b", "..",
        " ", "ä", "{a}",
    ];
    let app = app("/{a}/{b}", "x:{a}:{b}");
    let mut seen = HashMap::new();
    for a in VALUES {
        for b in VALUES {
            let response = send(&app, post(&format!("/{}/{}", encode(a), encode(b)))).await;
            assert_eq!(response.status(), StatusCode::OK, "{a} {b}");
            let name = text(response).await;
            if let Some(other) = seen.insert(name.clone(), (a, b)) {
                panic!("{name}: {other:?} and {:?}", (a, b));
            }
        }
    }
}

#[tokio::test]
async fn a_job_locks_by_hand_what_a_request_locks() {
    let nodes = Nodes::new();
    let redsync = nodes.redsync();
    let redsync = redsync.with_defaults(|mutex| mutex.with_key_prefix("eu:"));
    let key = key::path("{shop}/{email}");
    let plain = RedlockLayer::new(redsync.unwrap(), key.clone());
    let long = "x".repeat(300);
    for lock in [
        plain.clone(),
        plain.clone().with_prefix("user:"),
        plain.with_prefix("user:").with_hashed_names(true),
    ] {
        let handler = routing::post(name).route_layer(lock.clone());
        let app = Router::new().route("/{shop}/{email}", handler);
        for email in ["ann@example.com", "42", "a:b", "ä", " ", &long] {
            let by_hand = key.name([("email", email), ("shop", "1"), ("no", "such")]);
            let mutex = lock.mutex(by_hand.unwrap());
            let uri = format!("/1/{}", encode(email));
            assert_eq!(names(&app, &[&uri]).await, mutex.keys().collect::<Vec<_>>());
            let _guard = mutex.lock().await.unwrap();
            let response = send(&app, post(&uri)).await;
            assert_eq!(response.status(), StatusCode::CONFLICT, "{uri}");
        }
    }
    for values in [
        &[("shop", "1")][..],
        &[("shop", "1"), ("email", "a"), ("email", "b")],
    ] {
        let error = key.name(values.iter().copied()).unwrap_err();
        let shown = error.to_string();
        assert!(
            shown.contains("`email`") && shown.contains("`{shop}/{email}`"),
            "{shown}"
        );
    }
}

#[tokio::test]
async fn a_wildcard_is_a_parameter() {
    let app = app("/files/{*path}", "file:{path}");
    assert_eq!(
        names(&app, &["/files/a/b", "/files/a%2Fb"]).await,
        ["file:a%2Fb", "file:a%2Fb"]
    );
}

#[tokio::test]
async fn parameters_come_from_the_route_and_the_router_around_it() {
    let inner = app("/orders/{id}", "tenant:{tenant}:order:{id}");
    let app = Router::new().nest("/tenants/{tenant}", inner);
    assert_eq!(
        names(&app, &["/tenants/7/orders/1"]).await,
        ["tenant:7:order:1"]
    );
}

#[tokio::test]
async fn a_request_that_no_route_matches_passes_and_only_the_first_is_reported() {
    let (log, _listening) = Log::listen();
    let nodes = Nodes::new();
    let lock = RedlockLayer::new(nodes.redsync(), key::path("tenant:{tenant}:order:{id}"));
    let inner = Router::new().route("/orders/{id}", routing::post(name));
    let app = Router::new()
        .nest("/tenants/{tenant}", inner)
        .route("/tenants", routing::post(name))
        .layer(lock);
    for uri in ["/wp-login.php", "/a/b/c", "/", "/tenants/7/x", "/%ff"] {
        let response = send(&app, post(uri)).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{uri}");
    }
    let logged = log.take();
    assert_eq!(logged.lines().count(), 1, "{logged}");
    assert!(
        logged.contains("WARN") && logged.contains("/wp-login.php"),
        "{logged}"
    );
    assert_eq!(nodes.tries(), 0);

    // So does a fallback, which needs another key if it is to be locked.
    let lock = RedlockLayer::new(nodes.redsync(), key::path("order:{id}"));
    let fallback = Router::new().fallback(name).layer(lock);
    assert_eq!(names(&fallback, &["/orders/1"]).await, ["none"]);
    assert!(log.take().contains("WARN"));

    let uris = ["/tenants/7/orders/1"];
    assert_eq!(names(&app, &uris).await, ["tenant:7:order:1"]);
    let mistake = send(&app, post("/tenants")).await;
    assert_eq!(mistake.status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert!(
        log.take().contains("ERROR"),
        "a route without the parameter"
    );
}

#[tokio::test]
async fn a_layer_around_a_whole_router_is_a_mistake_and_lets_nothing_pass() {
    let nodes = Nodes::new();
    let lock = RedlockLayer::new(nodes.redsync(), key::path("order:{id}"));
    let app = Router::new().route("/orders/{id}", routing::post(name));
    let around = lock.layer(app);
    for uri in ["/orders/1", "/no-such"] {
        let response = send(&around, post(uri)).await;
        let status = response.status();
        assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR, "{uri}");
    }
}

#[test]
fn a_template_that_does_not_fit_its_route_is_found_when_the_router_is_built() {
    for (template, route, fits) in [
        ("order:{id}", "/orders/{id}", true),
        ("order:{id}", "/tenants/{tenant}/orders/{id}", true),
        ("file:{path}", "/files/{*path}", true),
        ("job", "/jobs", true),
        ("order:{id}", "/orders/{order}", false),
        ("order:{id}", "/orders/{{id}}", false),
        ("order:{id}", "/tenants/{id}/orders/{id}", false),
        ("tenant:{tenant}:order:{id}", "/orders/{id}", false),
    ] {
        let built = panic::catch_unwind(|| key::path(template).for_route(route));
        assert_eq!(built.is_ok(), fits, "{template} {route}");
        let Err(panic) = built else { continue };
        let message: &String = panic.downcast_ref().unwrap();
        assert!(
            message.contains(template) && message.contains(route),
            "{message}"
        );
    }
}

#[tokio::test]
async fn a_handler_still_gets_its_parameters() {
    let nodes = Nodes::new();
    let lock = RedlockLayer::new(nodes.redsync(), key::path("order:{id}"));
    let handler = |axum::extract::Path(id): axum::extract::Path<String>| async { id };
    let app = Router::new().route("/orders/{id}", routing::post(handler).route_layer(lock));
    assert_eq!(names(&app, &["/orders/a%3Ab"]).await, ["a:b"]);
}

#[tokio::test]
async fn a_header_is_named_before_its_value() {
    let nodes = Nodes::new();
    let lock = RedlockLayer::new(nodes.redsync(), key::header("Idempotency-Key"));
    let app = Router::new().route("/", routing::post(name).route_layer(lock));
    let mut request = post("/");
    let value = HeaderValue::from_static("8e03978e");
    request.headers_mut().insert("idempotency-key", value);
    let response = send(&app, request).await;
    assert_eq!(text(response).await, "idempotency-key:8e03978e");
}

#[tokio::test]
async fn a_request_without_a_key_is_not_locked() {
    #[derive(Clone)]
    struct Tenant(Option<&'static str>);

    let nodes = Nodes::new();
    let lock = RedlockLayer::new(nodes.redsync(), |request: &Request<_>| {
        let Tenant(tenant) = request.extensions().get()?;
        tenant.map(LockKey::from)
    });
    let app = Router::new().route("/", routing::post(name).route_layer(lock));
    for (tenant, expected, tries) in [(None, "none", 0), (Some("a"), "a", 1)] {
        let app = app.clone().layer(Extension(Tenant(tenant)));
        assert_eq!(names(&app, &["/"]).await, [expected]);
        assert_eq!(nodes.tries(), tries);
    }
}

#[tokio::test]
async fn each_service_has_its_prefix() {
    let nodes = Nodes::new();
    let redsync = nodes.redsync();
    let redsync = redsync.with_defaults(|mutex| mutex.with_key_prefix("shop:"));
    let lock = RedlockLayer::new(redsync.unwrap(), key::path("order:{id}"));
    let app = Router::new().route("/orders/{id}", routing::post(name).route_layer(lock));
    assert_eq!(names(&app, &["/orders/1"]).await, ["shop:order:1"]);
    let _guard = nodes.redsync().mutex("shop:order:1").lock().await.unwrap();
    let response = send(&app, post("/orders/1")).await;
    assert_eq!(response.status(), StatusCode::CONFLICT);
}
