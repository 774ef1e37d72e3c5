//! Server-sent events: what the page shows, as it happens.

use std::{convert::Infallible, sync::Arc};

use axum::{
    extract::State,
    http::{HeaderName, HeaderValue},
    response::{
        IntoResponse,
        sse::{self, KeepAlive, Sse},
    },
};
use futures_util::{Stream, StreamExt, stream};
use serde::Serialize;
use serde_json::{json, value::RawValue};
use tokio_util::sync::CancellationToken;

use crate::{
    events::{Events, now_ms},
    nodes::{NodeState, Nodes},
};

/// Asks nginx to send each event at once.
const UNBUFFERED: (HeaderName, HeaderValue) = (
    HeaderName::from_static("x-accel-buffering"),
    HeaderValue::from_static("no"),
);

#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) events: Events,
    pub(crate) nodes: Nodes,
    pub(crate) instance: Arc<str>,
    /// Ends the streams, for which a shutdown would wait.
    pub(crate) shutdown: CancellationToken,
}

#[derive(Serialize)]
struct Batch {
    /// The page compares it with its own clock.
    now: u64,
    events: Vec<Box<RawValue>>,
}

/// Sends who serves, the states of the nodes, and all events that the database has and gets. A client that
/// connects again gets all of them again.
pub(crate) async fn stream(State(live): State<Live>) -> impl IntoResponse {
    let hello = message("hello", &json!({ "instance": live.instance }));
    let updates = stream::select(nodes(&live.nodes), events(live.events.clone()));
    let messages = stream::once(async { hello })
        .chain(updates)
        .take_until(live.shutdown.cancelled_owned())
        .map(Ok::<_, Infallible>);
    (
        [UNBUFFERED],
        Sse::new(messages).keep_alive(KeepAlive::default()),
    )
}

fn nodes(nodes: &Nodes) -> impl Stream<Item = sse::Event> + use<> {
    let mut states = nodes.watch();
    states.mark_changed();
    stream::unfold(states, async |mut states| {
        states.changed().await.ok()?;
        let message = message::<[NodeState]>("nodes", &states.borrow_and_update());
        Some((message, states))
    })
}

fn events(events: Events) -> impl Stream<Item = sse::Event> {
    let changes = events.watch();
    stream::unfold((events, changes, 0), async |(events, mut changes, last)| {
        loop {
            let (number, bodies) = match events.after(last).await {
                Ok(found) => found,
                Err(error) => {
                    tracing::error!("the events cannot be read: {error:#}");
                    return None;
                }
            };
            if number > last {
                let bodies = bodies.into_iter().map(RawValue::from_string);
                let batch = Batch {
                    now: now_ms(),
                    events: bodies.collect::<Result<_, _>>().ok()?,
                };
                return Some((message("events", &batch), (events, changes, number)));
            }
            changes.changed().await.ok()?;
        }
    })
}

fn message<T: Serialize + ?Sized>(name: &str, data: &T) -> sse::Event {
    let data = serde_json::to_string(data).expect("no map with keys that are not strings");
    sse::Event::default().event(name).data(data)
}
