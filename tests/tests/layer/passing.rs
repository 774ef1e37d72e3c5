//! What the layer leaves as it was.

use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use redsync_tower::{HeldLock, RedlockLayer};
use tower::{Layer, Service, ServiceExt, service_fn};

use crate::support::{Nodes, Unclonable};

#[derive(Clone, Debug, PartialEq)]
struct Marker(u8);

fn request(method: Method) -> Request<Unclonable> {
    Request::builder()
        .method(method)
        .uri("/orders/1?a=b")
        .version(Version::HTTP_10)
        .header("x-a", "1")
        .header("x-a", "2")
        .extension(Marker(1))
        .body(Unclonable)
        .unwrap()
}

fn response() -> Response<impl Body<Data = Bytes, Error = Infallible>> {
    let trailers = HeaderMap::from_iter([(
        http::header::HeaderName::from_static("x-sum"),
        HeaderValue::from_static("7"),
    )]);
    let body = Full::from("done").with_trailers(async { Some(Ok(trailers)) });
    Response::builder()
        .status(StatusCode::CREATED)
        .version(Version::HTTP_10)
        .header("x-b", "1")
        .header("x-b", "2")
        .extension(Marker(2))
        .body(body)
        .unwrap()
}

/// The request as the service got it, without its body, and the response as the client got it.
async fn exchange(method: Method) -> (http::request::Parts, Response<impl Body<Data = Bytes>>) {
    let seen = Arc::new(Mutex::new(None));
    let service = {
        let seen = Arc::clone(&seen);
        service_fn(move |request: Request<Unclonable>| {
            *seen.lock().unwrap() = Some(request.into_parts().0);
            async { Ok::<_, Infallible>(response()) }
        })
    };
    let lock = RedlockLayer::new(Nodes::new().redsync(), |_: &Request<_>| "order:1");
    let service = lock.layer(service);
    let response = service.oneshot(request(method)).await.unwrap();
    let seen = seen.lock().unwrap().take().expect("a request");
    (seen, response)
}

#[tokio::test]
async fn a_request_is_passed_on_as_it_is() {
    for (method, locked) in [(Method::GET, false), (Method::POST, true)] {
        let expected = request(method.clone()).into_parts().0;
        let (seen, _) = exchange(method).await;
        assert_eq!(seen.method, expected.method);
        assert_eq!(seen.uri, expected.uri);
        assert_eq!(seen.version, expected.version);
        assert_eq!(seen.headers, expected.headers);
        assert_eq!(seen.extensions.get(), Some(&Marker(1)));
        assert_eq!(seen.extensions.get::<HeldLock>().is_some(), locked);
        assert_eq!(seen.extensions.len(), 1 + usize::from(locked));
    }
}

#[tokio::test]
async fn a_response_is_passed_on_as_it_is() {
    for method in [Method::GET, Method::POST] {
        let (expected, body) = response().into_parts();
        let (parts, passed) = exchange(method).await.1.into_parts();
        assert_eq!(parts.status, expected.status);
        assert_eq!(parts.version, expected.version);
        assert_eq!(parts.headers, expected.headers);
        assert_eq!(parts.extensions.get(), Some(&Marker(2)));
        assert_eq!(parts.extensions.len(), 1);

        assert_eq!(passed.size_hint().exact(), body.size_hint().exact());
        assert_eq!(passed.is_end_stream(), body.is_end_stream());
        let passed = passed.collect().await.ok().expect("a body");
        assert_eq!(passed.trailers().unwrap()["x-sum"], "7");
        assert_eq!(passed.to_bytes(), "done");
    }
}

#[tokio::test]
async fn an_empty_body_is_at_its_end() {
    let service = service_fn(|_: Request<()>| async {
        Ok::<_, Infallible>(Response::new(Full::<Bytes>::default()))
    });
    let lock = RedlockLayer::new(Nodes::new().redsync(), |_: &Request<_>| "order:1");
    let mut service = lock.layer(service);
    let body = service.call(Request::new(())).await.unwrap().into_body();
    assert!(body.is_end_stream());
    assert_eq!(body.size_hint().exact(), Some(0));
}
