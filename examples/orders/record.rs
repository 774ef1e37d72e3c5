//! Middleware that records what happens to a request of the page.

use std::{convert::Infallible, future::pending, sync::Arc};

use axum::{
    extract::{Query, Request, State},
    middleware::Next,
    response::Response,
};
use redsync_tower::{
    HeldLock,
    redsync::{FencingToken, Inspection, Redsync},
};
use serde::Deserialize;

use crate::events::{Event, Events, Holds};

#[derive(Clone)]
pub(crate) struct Recorder {
    pub(crate) events: Events,
    pub(crate) redsync: Redsync,
    pub(crate) instance: Arc<str>,
}

/// What the page adds to the query string of its requests. Other requests are not recorded.
#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Mark {
    run: Option<i64>,
    request: Option<u32>,
}

impl Mark {
    fn get(self) -> Option<(i64, u32)> {
        self.run.zip(self.request)
    }
}

/// Outside of the lock: a request has arrived.
pub(crate) async fn arrived(
    State(recorder): State<Recorder>,
    Query(mark): Query<Mark>,
    request: Request,
    next: Next,
) -> Response {
    if let Some((run, request)) = mark.get() {
        let instance = recorder.instance;
        recorder
            .events
            .record(run, Event::Arrived { request, instance });
    }
    next.run(request).await
}

/// Inside the lock: a request works.
pub(crate) async fn working(
    State(recorder): State<Recorder>,
    Query(mark): Query<Mark>,
    request: Request,
    next: Next,
) -> Response {
    let Some((run, number)) = mark.get() else {
        return next.run(request).await;
    };
    let lock = request.extensions().get::<HeldLock>().cloned();
    let token = (lock.as_ref())
        .and_then(HeldLock::fencing_token)
        .map(FencingToken::get);
    let event = Event::Working {
        request: number,
        token,
    };
    recorder.events.record(run, event);
    let response = tokio::select! {
        response = next.run(request) => response,
        never = recorder.inspect(run, number, lock) => match never {},
    };
    recorder
        .events
        .record(run, Event::Worked { request: number });
    response
}

impl Recorder {
    /// Asks the nodes which of them have the key of this lock, while the request works.
    async fn inspect(&self, run: i64, request: u32, lock: Option<HeldLock>) -> Infallible {
        if let Some(lock) = lock
            && let Ok(nodes) = self.redsync.mutex(lock.name()).inspect().await
        {
            let nodes = nodes.iter().map(|node| self.holds(node)).collect();
            self.events.record(run, Event::Nodes { request, nodes });
        }
        pending().await
    }

    /// The holder is known by its label, which is the name of this instance. See `Config::redsync`.
    fn holds(&self, node: &Inspection) -> Holds {
        match &node.holders {
            Ok(holders)
                if (holders.iter())
                    .any(|holder| holder.label.as_deref() == Some(&*self.instance)) =>
            {
                Holds::Key
            }
            Ok(_) => Holds::NoKey,
            Err(_) => Holds::NoAnswer,
        }
    }
}
