//! An HTTP client.

use axum::http::header;
use redsync_tests::{
    Service,
    http::{self, Answer},
};
use serde::Deserialize;
use tokio::{io::AsyncWriteExt, net::TcpStream};

#[derive(Debug, Deserialize, PartialEq, Eq)]
pub(crate) struct Order {
    pub(crate) id: String,
    pub(crate) quantity: i64,
    pub(crate) version: i64,
}

impl Order {
    pub(crate) fn new(id: &str, quantity: i64, version: i64) -> Self {
        Self {
            id: id.to_owned(),
            quantity,
            version,
        }
    }
}

pub(crate) trait OrderAnswer {
    fn order(&self) -> Order;

    /// The whole seconds of `Retry-After`, at least one.
    fn retry_after(&self) -> u64;
}

impl OrderAnswer for Answer {
    #[track_caller]
    fn order(&self) -> Order {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).expect("an order")
    }

    #[track_caller]
    fn retry_after(&self) -> u64 {
        let after = self.header(header::RETRY_AFTER.as_str());
        let after = after.parse().expect("whole seconds");
        assert!(after >= 1, "{after}");
        after
    }
}

pub(crate) async fn get(service: &Service, path: &str) -> Answer {
    http::get(&service.url(path)).await
}

/// Adds one item. `path` is that of an order, such as `/orders/1`.
pub(crate) fn add(
    service: &Service,
    path: &str,
    work_ms: u64,
) -> impl Future<Output = Answer> + use<> {
    let url = service.url(&format!("{path}/items?work_ms={work_ms}"));
    async move { http::post(&url, r#"{"quantity": 1}"#).await }
}

/// Sends a request that adds one item. The client hangs up when the stream is dropped.
pub(crate) async fn add_and_hang(service: &Service, id: &str, work_ms: u64) -> TcpStream {
    let mut client = TcpStream::connect(("127.0.0.1", service.port()))
        .await
        .expect("a connection");
    let body = r#"{"quantity": 1}"#;
    let request = format!(
        "POST /orders/{id}/items?work_ms={work_ms} HTTP/1.1\r\nhost: x\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    );
    client.write_all(request.as_bytes()).await.expect("sent");
    client
}
