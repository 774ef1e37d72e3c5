//! Names from clients: they are encoded or answered with 400, and never a mistake in the program.

use std::collections::HashMap;

use axum::{Router, body::Body, extract::Path, routing};
use http::{HeaderValue, Request, StatusCode, request::Parts};
use redsync_tower::{
    HeldLock, RedlockLayer,
    key::{self, Key, LockKey},
};

use crate::support::{Log, Nodes, post, send, text};

/// The longest prefix that the nodes can have.
const LONGEST_PREFIX: usize = 768;

/// Values that a client may send, most of them with malice.
fn values() -> Vec<Vec<u8>> {
    let mut values: Vec<Vec<u8>> = [
        "",
        ":",
        "fence",
        ":fence",
        "a:fence",
        "a:fence:fence",
        "2",
        "-2",
        ":permit-2",
        "a:permit-2",
        "a:permit-",
        "a:permit-2:permit-3",
        "e",
        "ce",
        "42",
        "+42",
        " ",
        "a b",
        "a\tb",
        "a\nb",
        "a\r\nb",
        "\0",
        "a\0b",
        "\u{1b}[2J",
        "\u{7f}",
        "\u{202e}a",
        "ä",
        "{a}",
        "}",
        "..",
        "/",
        "%",
        "%00",
        "%0A",
        "#sha256:",
        "a, b",
        "*",
        "?",
        "[a]",
        "\\n",
        "'",
        "\"",
        "`",
    ]
    .map(|value| value.as_bytes().to_vec())
    .into();
    values.extend([vec![0xff], vec![b'a', 0xc3], vec![0xed, 0xa0, 0x80]]);
    for len in [199, 200, 201, 1019, 1024, 1025, 20_000] {
        values.push("x".repeat(len).into());
        values.push(format!("{}:fence", "x".repeat(len)).into());
    }
    values
}

/// Answers with the name of the lock.
async fn name(lock: HeldLock) -> String {
    lock.name().to_owned()
}

fn app<K>(lock: RedlockLayer<K>) -> Router
where
    K: Key<Body, Future: Send> + Clone + Send + Sync + 'static,
{
    Router::new()
        .route("/", routing::post(name).route_layer(lock.clone()))
        .route("/{id}", routing::post(name).route_layer(lock))
}

fn with_value(value: &[u8]) -> Option<Request<Body>> {
    let mut request = post("/");
    let value = HeaderValue::from_bytes(value).ok()?;
    request.headers_mut().insert("k", value);
    Some(request)
}

fn with_path(value: &[u8]) -> Option<Request<Body>> {
    let path: String = value.iter().map(|byte| format!("%{byte:02X}")).collect();
    let uri = format!("/{path}");
    (!value.is_empty()).then(|| post(&uri))
}

#[expect(clippy::unnecessary_wraps, reason = "as the other two")]
fn with_body(value: &[u8]) -> Option<Request<Body>> {
    Some(post("/").map(|_| value.to_vec().into()))
}

/// Sends each value, and returns how many were locked.
async fn try_all(app: &Router, request: fn(&[u8]) -> Option<Request<Body>>, what: &str) -> usize {
    let (log, _listening) = Log::listen();
    let mut names = HashMap::new();
    for value in values() {
        let Some(request) = request(&value) else {
            continue; // no client can send it
        };
        let shown = value.escape_ascii();
        let response = send(app, request).await;
        match response.status() {
            StatusCode::OK => {
                let name = text(response).await;
                let len = name.trim_start_matches('p').len();
                assert!(len <= 600, "{what} {name}");
                assert!(!name.ends_with(":fence"), "{what} {name}");
                let unnumbered = name.trim_end_matches(char::is_numeric);
                assert!(
                    unnumbered == name || !unnumbered.ends_with(":permit-"),
                    "{what} {name}"
                );
                if let Some(other) = names.insert(name, value.clone()) {
                    panic!("{what}: {} and {shown} have one name", other.escape_ascii());
                }
            }
            status => assert_eq!(status, StatusCode::BAD_REQUEST, "{what} {shown}"),
        }
    }
    // Nothing of this concerns an operator.
    assert_eq!(log.take(), "", "{what}");
    names.len()
}

fn layers<K: Clone>(key: &K) -> Vec<(String, RedlockLayer<K>)> {
    let mut layers = Vec::new();
    for of_the_nodes in ["", "shop:", &"p".repeat(LONGEST_PREFIX)] {
        for of_the_layer in ["", "cart:", "c", "cart:fen", "cart:permit-"] {
            for hashed in [false, true] {
                let redsync = Nodes::new().redsync();
                let redsync = redsync.with_defaults(|mutex| mutex.with_key_prefix(of_the_nodes));
                let layer = RedlockLayer::new(redsync.unwrap(), key.clone())
                    .with_prefix(of_the_layer)
                    .with_hashed_names(hashed);
                layers.push((format!("{of_the_nodes}{of_the_layer} {hashed}"), layer));
            }
        }
    }
    layers
}

/// It would make a mistake in the program of whatever long name a client sends.
#[test]
fn a_prefix_that_leaves_no_room_for_names_of_clients_is_refused_when_it_is_set() {
    let too_long = "p".repeat(LONGEST_PREFIX + 1);
    let redsync = Nodes::new().redsync();
    let refused = redsync.with_defaults(|mutex| mutex.with_key_prefix(too_long));
    refused.unwrap_err();
}

#[tokio::test]
async fn a_header_is_locked_or_answered_with_400() {
    for (what, layer) in layers(&key::header("k")) {
        assert!(try_all(&app(layer), with_value, &what).await > 20);
    }
    let closure = |request: &Request<_>| {
        let value = request.headers().get("k").map(HeaderValue::as_bytes);
        value.map(|value| String::from_utf8_lossy(value).replace('\u{fffd}', "?%"))
    };
    for (what, layer) in layers(&closure) {
        assert!(try_all(&app(layer), with_value, &what).await > 20);
    }
}

#[tokio::test]
async fn a_path_is_locked_or_answered_with_400() {
    for (what, layer) in layers(&key::path("{id}")) {
        assert!(try_all(&app(layer), with_path, &what).await > 30);
    }
    for (what, layer) in layers(&key::path("order:{id}:fence")) {
        assert!(try_all(&app(layer), with_path, &what).await > 30);
    }
    for (what, layer) in layers(&key::from_extractor(|Path(id): Path<String>| id)) {
        assert!(try_all(&app(layer), with_path, &what).await > 30);
    }
}

#[tokio::test]
async fn a_body_is_locked_or_answered_with_400() {
    let key = key::body(100_000, |_: &Parts, body: &[u8]| {
        str::from_utf8(body)
            .map(str::to_owned)
            .map_err(|_| key::KeyError::BadRequest("the body is not text".into()))
    });
    for (what, layer) in layers(&key) {
        assert!(try_all(&app(layer), with_body, &what).await > 30);
    }
}

#[derive(Clone)]
struct Tenant(String);

#[tokio::test]
async fn an_extension_is_locked_or_answered_with_400() {
    for (what, layer) in layers(&key::extension(|Tenant(tenant): &Tenant| tenant.clone())) {
        let request = |value: &[u8]| {
            let mut request = post("/");
            let tenant = Tenant(str::from_utf8(value).ok()?.to_owned());
            request.extensions_mut().insert(tenant);
            Some(request)
        };
        assert!(try_all(&app(layer), request, &what).await > 30);
    }
}

#[tokio::test]
async fn several_names_with_an_empty_one_among_them_are_answered_with_400() {
    let lock = RedlockLayer::new(Nodes::new().redsync(), |request: &Request<_>| {
        let accounts = request.uri().query().unwrap_or_default().split(',');
        accounts.map(str::to_owned).collect::<LockKey>()
    });
    let app = app(lock);
    for (uri, status) in [
        ("/", StatusCode::BAD_REQUEST),
        ("/?", StatusCode::BAD_REQUEST),
        ("/?a,", StatusCode::BAD_REQUEST),
        ("/?,a", StatusCode::BAD_REQUEST),
        ("/?a,b:fence,a", StatusCode::OK),
    ] {
        let response = send(&app, post(uri)).await;
        assert_eq!(response.status(), status, "{uri}");
    }
}
