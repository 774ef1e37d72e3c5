//! An HTTP client, and copies of the program.

use std::time::Duration;

use axum::{
    body::Bytes,
    http::{HeaderMap, Method, Request, header},
};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use redsync_tests::{Servers, Service};
use rusqlite::{Connection, OptionalExtension};
use tempfile::TempDir;

/// A generous time limit for a condition that has to hold soon.
pub(crate) const SOON: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn is_replayed(&self) -> bool {
        let value = self.headers.get("idempotent-replayed");
        value.is_some_and(|value| value == "true")
    }
}

pub(crate) async fn send(
    service: &Service,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = Request::builder().method(method).uri(service.url(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::<Bytes>::from(body.to_owned()));
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.expect("a request")).await;
    let (parts, body) = response.expect("a response").into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

/// Alice's charge of this amount, with this key.
pub(crate) async fn charge(service: &Service, key: &str, amount: u32, work_ms: u64) -> Answer {
    let path = format!("/charges?work_ms={work_ms}");
    let headers = [("authorization", "Bearer alice"), ("idempotency-key", key)];
    let body = format!(r#"{{"amount": {amount}}}"#);
    send(service, Method::POST, &path, &headers, &body).await
}

/// Sends Alice's charge, with the key `k`, to a copy that gets killed.
pub(crate) async fn abandoned(url: String) -> Result<(), hyper_util::client::legacy::Error> {
    let request = Request::post(url)
        .header(header::AUTHORIZATION, "Bearer alice")
        .header("idempotency-key", "k")
        .body(Full::<Bytes>::from(r#"{"amount": 100}"#));
    let client = Client::builder(TokioExecutor::new()).build_http();
    client.request(request.expect("a request")).await?;
    Ok(())
}

/// How many charges the customer has.
pub(crate) async fn charges(service: &Service, customer: &str) -> usize {
    let bearer = format!("Bearer {customer}");
    let headers = [(header::AUTHORIZATION.as_str(), &*bearer)];
    let answer = send(service, Method::GET, "/charges", &headers, "").await;
    let list: Vec<serde_json::Value> = serde_json::from_str(&answer.body).expect("a list");
    list.len()
}

/// Redis servers and a database, which copies of the program share.
pub(crate) struct World {
    pub(crate) servers: Servers,
    directory: TempDir,
}

impl World {
    pub(crate) fn start() -> Self {
        Self {
            servers: Servers::start(3),
            directory: TempDir::new().expect("a directory"),
        }
    }

    pub(crate) fn database(&self) -> std::path::PathBuf {
        self.directory.path().join("charges.sqlite")
    }

    pub(crate) async fn copy(&self) -> Service {
        let (urls, database) = (self.servers.urls().join(","), self.database());
        let env = [
            ("REDIS_URLS", &*urls),
            ("DATABASE", database.to_str().expect("a path")),
            ("EXPIRY_MS", "1500"),
        ];
        Service::start("idempotency", &env).await
    }

    /// The fencing token of the request that works on the only key, once it has begun.
    pub(crate) fn token(&self) -> Option<i64> {
        let database = Connection::open(self.database()).expect("a database");
        database.busy_timeout(SOON).expect("set");
        let token = database.query_one("SELECT token FROM answers", [], |row| row.get(0));
        token.optional().expect("an answer of SQLite")
    }

    /// Whether the lock of Alice's key is held on all servers.
    pub(crate) fn is_locked(&self, key: &str) -> bool {
        let holders = self.servers.holders(&format!("charge:alice:{key}"));
        holders.iter().all(Option::is_some)
    }
}
