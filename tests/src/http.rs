//! An HTTP client for the programs of the examples.

use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, Error},
    rt::TokioExecutor,
};

/// What a service answered.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: String,
}

impl Answer {
    /// The value of a header, which is empty if there is none.
    ///
    /// # Panics
    ///
    /// If it is not visible ASCII.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        (self.headers.get(name)).map_or("", |value| value.to_str().expect("visible ASCII"))
    }

    /// The body as JSON.
    ///
    /// # Panics
    ///
    /// If it is something else.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends a request on a connection of its own, so that requests do not queue on one connection.
///
/// # Errors
///
/// If the service ends before it has answered.
///
/// # Panics
///
/// If the URL or a header is malformed, or if the body breaks off.
pub async fn try_send(
    method: Method,
    url: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<Answer, Error> {
    let mut request = Request::builder().method(method).uri(url);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::<bytes::Bytes>::from(body.to_owned()));
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request.expect("a request")).await?;
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Ok(Answer {
        status: parts.status.as_u16(),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// Sends a GET request.
///
/// # Panics
///
/// If there is no answer.
pub async fn get(url: &str) -> Answer {
    let answer = try_send(Method::GET, url, &[], "").await;
    answer.expect("an answer")
}

/// Sends a POST request with JSON.
///
/// # Panics
///
/// If there is no answer.
pub async fn post(url: &str, body: &str) -> Answer {
    let json = [("content-type", "application/json")];
    let answer = try_send(Method::POST, url, &json, body).await;
    answer.expect("an answer")
}
