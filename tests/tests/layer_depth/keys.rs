use axum::{
    Extension, Router,
    body::{Body, Bytes},
    extract::Path,
    routing::post,
};
use http::{Request, StatusCode, header, request::Parts};
use redsync::Redsync;
use redsync_tower::{
    HeldLock, RedlockLayer,
    key::{self, Key, KeyError, LockKey},
};

use crate::{nodes, request, send, status, text};

async fn name(lock: HeldLock) -> String {
    lock.name().to_owned()
}

async fn names<K>(redsync: Redsync, route: &str, key: K, uris: &[&str]) -> Vec<String>
where
    K: Key<Body, Future: Send> + Clone + Send + Sync + 'static,
{
    let lock = RedlockLayer::new(redsync, key);
    let app = Router::new().route(route, post(name).route_layer(lock));
    let mut names = Vec::new();
    for uri in uris {
        names.push(text(send(&app, request("POST", uri)).await).await);
    }
    names
}

#[tokio::test(start_paused = true)]
async fn an_extractor_is_typed() {
    let key = key::from_extractor(|Path(id): Path<u64>| format!("order:{id}"));
    let names = names(
        nodes().0,
        "/orders/{id}",
        key,
        &["/orders/7", "/orders/007", "/orders/%37"],
    );
    assert_eq!(names.await, ["order:7"; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_rejection_of_an_extractor_keeps_its_status() {
    let key = key::from_extractor(|Path(id): Path<u64>| format!("order:{id}"));
    let lock = RedlockLayer::new(nodes().0, key);
    let app = Router::new().route("/orders/{id}", post(name).route_layer(lock.clone()));
    assert_eq!(
        status(&app, "POST", "/orders/seven").await,
        StatusCode::BAD_REQUEST
    );
    let app = Router::new().route("/orders", post(name).route_layer(lock));
    assert_eq!(
        status(&app, "POST", "/orders").await,
        StatusCode::INTERNAL_SERVER_ERROR
    );
}

#[derive(Clone)]
struct Tenant(&'static str);

#[tokio::test(start_paused = true)]
async fn an_extension_scopes_by_principal_in_one_line() {
    let key = key::extension(|Tenant(tenant): &Tenant| format!("tenant:{tenant}"));
    let lock = RedlockLayer::new(nodes().0, key);
    let app = Router::new().route("/", post(name).route_layer(lock));
    let with = app.clone().layer(Extension(Tenant("a")));
    assert_eq!(
        text(send(&with, request("POST", "/")).await).await,
        "tenant:a"
    );
    assert_eq!(
        status(&app, "POST", "/").await,
        StatusCode::INTERNAL_SERVER_ERROR
    );
}

#[tokio::test(start_paused = true)]
async fn an_async_function_takes_the_request_and_returns_it() {
    let key = key::from_fn(async |request: Request<_>| {
        tokio::task::yield_now().await;
        let key = LockKey::from(request.uri().path());
        (request, Ok(Some(key)))
    });
    assert_eq!(names(nodes().0, "/a", key, &["/a"]).await, ["/a"]);
}

#[tokio::test(start_paused = true)]
async fn the_body_is_read_up_to_a_limit_and_passed_on() {
    let key = key::body(8, |_: &Parts, body: &[u8]| match body {
        b"" => Err(KeyError::BadRequest("say which".into())),
        body => Ok(format!("account:{}", body[0])),
    });
    let lock = RedlockLayer::new(nodes().0, key);
    let handler = async |lock: HeldLock, body: Bytes| format!("{} {body:?}", lock.name());
    let app = Router::new().route("/", post(handler).route_layer(lock));
    let post = async |body: &'static str| {
        let response = send(&app, request("POST", "/").map(|_| Body::from(body))).await;
        (response.status().as_u16(), text(response).await)
    };
    assert_eq!(post("1234").await, (200, "account:49 b\"1234\"".to_owned()));
    let (status, problem) = post("123456789").await;
    assert_eq!(status, 413);
    assert!(
        problem.contains("urn:redsync:problem:too-large"),
        "{problem}"
    );
    assert_eq!(post("").await.0, 400);
}

#[tokio::test(start_paused = true)]
async fn several_keys_are_locked_all_or_none() {
    let (redsync, _) = nodes();
    let lock = RedlockLayer::new(redsync.clone(), |request: &Request<_>| {
        let accounts = request.uri().query().unwrap_or_default().split(',');
        accounts
            .map(|id| format!("account:{id}"))
            .collect::<LockKey>()
    });
    let app = Router::new().route("/transfer", post(name).route_layer(lock));
    let response = send(&app, request("POST", "/transfer?2,1,2")).await;
    assert_eq!(text(response).await, "account:1, account:2");
    let _held = redsync.mutex("account:2").lock().await.unwrap();
    assert_eq!(
        status(&app, "POST", "/transfer?1,2").await,
        StatusCode::CONFLICT
    );
    assert_eq!(status(&app, "POST", "/transfer?1,3").await, StatusCode::OK);
    // No name at all is the client's mistake, and so is an empty one.
    let none = |_: &Request<_>| Vec::<String>::new().into_iter().collect::<LockKey>();
    let none = RedlockLayer::new(redsync.clone(), none);
    let empty = RedlockLayer::new(redsync, |_: &Request<_>| "");
    let app = Router::new()
        .route("/none", post(name).route_layer(none))
        .route("/empty", post(name).route_layer(empty));
    for uri in ["/none", "/empty"] {
        let answer = status(&app, "POST", uri).await;
        assert_eq!(answer, StatusCode::BAD_REQUEST, "{uri}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_parameter_that_a_nest_has_twice_is_a_mistake() {
    let lock = RedlockLayer::new(nodes().0, key::path("order:{id}"));
    let orders = Router::new().route("/orders/{id}", post(name).route_layer(lock));
    let app = Router::new().nest_service("/tenants/{id}", orders);
    let answer = status(&app, "POST", "/tenants/7/orders/1").await;
    assert_eq!(answer, StatusCode::INTERNAL_SERVER_ERROR);
}

#[tokio::test(start_paused = true)]
async fn a_prefix_comes_first_and_long_names_are_shortened() {
    let (redsync, _) = nodes();
    let lock = RedlockLayer::new(redsync, key::header("k")).with_prefix("shop:");
    let app = Router::new().route("/", post(name).route_layer(lock));
    let name = async |value: &str| {
        let mut request = request("POST", "/");
        request.headers_mut().insert("k", value.parse().unwrap());
        let response = send(&app, request).await;
        assert!(response.headers().get(header::RETRY_AFTER).is_none());
        text(response).await
    };
    assert_eq!(name("1").await, "shop:k:1");
    let (a, b) = (
        name(&"a".repeat(5000)).await,
        name(&format!("{}b", "a".repeat(4999))).await,
    );
    assert_ne!(a, b);
    assert!(a.starts_with("shop:k:aaa") && a.len() <= 200, "{a}");
}
