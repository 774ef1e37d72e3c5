//! An HTTP client.

use axum::{
    body::Bytes,
    http::{HeaderMap, Method, Request, header},
};
use http_body_util::{BodyExt, Full};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use serde::Deserialize;
use tokio::{io::AsyncWriteExt, net::TcpStream};

use redsync_tests::Service;

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

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

impl Answer {
    #[track_caller]
    pub(crate) fn order(&self) -> Order {
        assert_eq!(self.status, 200, "{}", self.body);
        serde_json::from_str(&self.body).expect("an order")
    }

    /// The whole seconds of `Retry-After`, at least one.
    #[track_caller]
    pub(crate) fn retry_after(&self) -> u64 {
        let after = &self.headers[header::RETRY_AFTER];
        let after = after.to_str().ok().and_then(|after| after.parse().ok());
        let after: u64 = after.expect("whole seconds");
        assert!(after >= 1, "{after}");
        after
    }
}

/// Sends a request on a connection of its own, so that requests do not queue on one connection.
pub(crate) async fn send(method: Method, url: &str, body: impl Into<String>) -> Answer {
    let request = Request::builder()
        .method(method)
        .uri(url)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::<Bytes>::from(body.into()))
        .expect("a request");
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.expect("a response");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    }
}

pub(crate) async fn get(service: &Service, path: &str) -> Answer {
    send(Method::GET, &service.url(path), "").await
}

/// Adds one item. `path` is that of an order, such as `/orders/1`.
pub(crate) fn add(
    service: &Service,
    path: &str,
    work_ms: u64,
) -> impl Future<Output = Answer> + use<> {
    let url = service.url(&format!("{path}/items?work_ms={work_ms}"));
    async move { send(Method::POST, &url, r#"{"quantity": 1}"#).await }
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
