//! What is seen of the layer from outside: spans, counters and histograms.

mod callbacks;
mod capture;
mod control;
#[cfg(feature = "metrics")]
mod figures;
mod holders;
mod levels;
mod names;
mod spans;

use std::{sync::Arc, time::Duration};

use axum::{Router, body::Body, routing::post};
use http::{Request, Response};
use redsync::{Mode, Redsync, node::MemoryNode};
use redsync_tower::{
    RedlockLayer,
    key::{self, Key},
};
use tokio::sync::Semaphore;
use tower::ServiceExt;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn nodes() -> (Redsync, Vec<MemoryNode>) {
    let nodes: Vec<_> = (0..3).map(|_| MemoryNode::new()).collect();
    (Redsync::new(nodes.clone()).unwrap(), nodes)
}

fn orders(redsync: &Redsync) -> RedlockLayer<key::PathKey> {
    RedlockLayer::new(redsync.clone(), key::path("order:{id}"))
}

/// A service whose handler begins, and ends when it may.
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

    fn app<K>(&self, lock: RedlockLayer<K>) -> Router
    where
        K: Key<Body, Future: Send> + Clone + Send + Sync + 'static,
    {
        let stage = self.clone();
        let handler = async move || {
            stage.begun.add_permits(1);
            stage.may_end.acquire().await.unwrap().forget();
            "done"
        };
        Router::new().route("/orders/{id}", post(handler).route_layer(lock))
    }

    async fn has_begun(&self) {
        self.begun.acquire().await.unwrap().forget();
    }

    fn let_go(&self) {
        self.may_end.add_permits(1);
    }
}

/// A service whose handler takes so long.
fn taking<K>(lock: RedlockLayer<K>, time: Duration) -> Router
where
    K: Key<Body, Future: Send> + Clone + Send + Sync + 'static,
{
    let handler = async move || {
        tokio::time::sleep(time).await;
        "done"
    };
    Router::new().route("/orders/{id}", post(handler).route_layer(lock))
}

async fn send(app: &Router) -> Response<Body> {
    let request = Request::post("/orders/1").header("tenant", "a");
    let request = request.body(Body::empty()).unwrap();
    app.clone().oneshot(request).await.unwrap()
}

async fn status(app: &Router) -> u16 {
    send(app).await.status().as_u16()
}

/// The owner values that the nodes have for a name.
async fn owner_values(nodes: &[MemoryNode], name: &str) -> Vec<String> {
    use redsync::node::Node;
    let mut values = Vec::new();
    for node in nodes {
        let holders = node.inspect(name).await.unwrap().expect("it is held");
        assert_eq!(holders.mode, Mode::Exclusive);
        values.extend(
            holders
                .holders
                .iter()
                .map(|holder| holder.value.as_str().to_owned()),
        );
    }
    values
}
