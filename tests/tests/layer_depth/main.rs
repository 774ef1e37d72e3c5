//! What the layer offers beyond a path, an exclusive lock and a response: other keys, shared reads,
//! limits of waiting, other ends of a lock.

mod ends;
mod keys;
mod min_hold;
mod modes;
mod permits;
mod waiting;

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body};
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use redsync::{Redsync, node::MemoryNode};
use tokio::sync::Semaphore;
use tower::ServiceExt;

fn nodes() -> (Redsync, Vec<MemoryNode>) {
    let nodes: Vec<_> = (0..3).map(|_| MemoryNode::new()).collect();
    (Redsync::new(nodes.clone()).unwrap(), nodes)
}

fn request(method: &str, uri: &str) -> Request<Body> {
    let request = Request::builder().method(method).uri(uri);
    request.body(Body::empty()).unwrap()
}

async fn send(app: &Router, request: Request<Body>) -> Response<Body> {
    app.clone().oneshot(request).await.unwrap()
}

async fn status(app: &Router, method: &str, uri: &str) -> StatusCode {
    send(app, request(method, uri)).await.status()
}

async fn text(response: Response<Body>) -> String {
    let body = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(body.to_vec()).unwrap()
}

/// A place where handlers say that they have begun, and wait until they may end.
#[derive(Clone)]
struct Stage {
    begun: Arc<Semaphore>,
    may_end: Arc<Semaphore>,
}

impl Stage {
    fn new() -> Self {
        let none = || Arc::new(Semaphore::new(0));
        let (begun, may_end) = (none(), none());
        Self { begun, may_end }
    }

    async fn enter(&self) {
        self.begun.add_permits(1);
        self.may_end.acquire().await.unwrap().forget();
    }

    /// Waits until this number have begun.
    async fn has(&self, count: u32) {
        let begun = self.begun.acquire_many(count);
        let begun = tokio::time::timeout(Duration::from_secs(60), begun).await;
        begun.expect("they begin").unwrap().forget();
    }

    fn let_go(&self, count: usize) {
        self.may_end.add_permits(count);
    }
}
