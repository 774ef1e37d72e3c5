//! An HTTP client, and copies of the program.

use std::time::Duration;

use axum::http::{Method, header};
pub(crate) use redsync_tests::program::SOON;
use redsync_tests::{
    Copies, Service,
    http::{Answer, try_send},
};
use rusqlite::{Connection, OptionalExtension};
use tokio::time::{Instant, sleep};

pub(crate) trait Replayed {
    /// Whether this answer was stored.
    fn is_replayed(&self) -> bool;
}

impl Replayed for Answer {
    fn is_replayed(&self) -> bool {
        self.header("idempotent-replayed") == "true"
    }
}

pub(crate) async fn send(
    service: &Service,
    method: Method,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let answer = try_send(method, &service.url(path), headers, body).await;
    answer.expect("an answer")
}

/// Alice's charge of this amount, with this key. If the servers answer too late, as they may on a busy
/// machine, the request is repeated, as by a client that obeys `Retry-After`.
pub(crate) async fn charge(service: &Service, key: &str, amount: u32, work_ms: u64) -> Answer {
    let path = format!("/charges?work_ms={work_ms}");
    let headers = [("authorization", "Bearer alice"), ("idempotency-key", key)];
    let body = format!(r#"{{"amount": {amount}}}"#);
    let end = Instant::now() + SOON;
    loop {
        let answer = send(service, Method::POST, &path, &headers, &body).await;
        if answer.status != 503 || Instant::now() > end {
            return answer;
        }
        let pause = answer.header("retry-after").parse().expect("seconds");
        sleep(Duration::from_secs(pause)).await;
    }
}

/// How many charges the customer has.
pub(crate) async fn charges(service: &Service, customer: &str) -> usize {
    let bearer = format!("Bearer {customer}");
    let headers = [(header::AUTHORIZATION.as_str(), &*bearer)];
    let answer = send(service, Method::GET, "/charges", &headers, "").await;
    answer.json().as_array().expect("a list").len()
}

/// Copies of the program.
pub(crate) struct World(Copies);

impl World {
    pub(crate) fn start() -> Self {
        Self(Copies::of("idempotency"))
    }

    pub(crate) async fn copy(&self) -> Service {
        self.0.start(&[("EXPIRY_MS", "1500")]).await
    }

    pub(crate) fn database(&self) -> Connection {
        self.0.database()
    }

    /// Pauses a copy while it does not write to the database.
    pub(crate) fn pause(&self, copy: &Service) {
        self.0.pause(copy);
    }

    /// The fencing token of the request that works on the only key, once it has begun.
    pub(crate) fn token(&self) -> Option<i64> {
        let database = self.database();
        let token = database.query_one("SELECT token FROM answers", [], |row| row.get(0));
        token.optional().expect("an answer of SQLite")
    }

    /// Whether the lock of Alice's key is held on all servers.
    pub(crate) fn is_locked(&self, key: &str) -> bool {
        self.holders(key).iter().all(Option::is_some)
    }

    /// Whether no server has the lock of Alice's key.
    pub(crate) fn is_free(&self, key: &str) -> bool {
        self.holders(key).iter().all(Option::is_none)
    }

    fn holders(&self, key: &str) -> Vec<Option<String>> {
        self.0.servers.holders(&format!("charge:alice:{key}"))
    }
}
