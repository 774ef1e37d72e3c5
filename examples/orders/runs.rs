//! A run: several requests for one order at the same time, as the buttons of the page start it.

use std::sync::Arc;

use anyhow::Context;
use axum::{
    Json,
    body::Bytes,
    extract::State,
    http::{Request, header},
};
use futures_util::future::join_all;
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use crate::{
    error::Error,
    events::{Event, Events},
    store::Store,
};

/// How long the requests of a run wait for their lock. A run of the most requests that work for the
/// longest time ends within it.
pub(crate) const WAIT: std::time::Duration = std::time::Duration::from_secs(60);

const MAX_REQUESTS: u32 = 40;
const MAX_WORK_MS: u64 = 1000;

#[derive(Clone)]
pub(crate) struct Runs {
    store: Store,
    events: Events,
    instance: Arc<str>,
    /// The requests go to these instances in turn.
    peers: Arc<[String]>,
    client: Client<HttpConnector, Full<Bytes>>,
    /// One run at a time.
    permit: Arc<Semaphore>,
}

#[derive(Clone, Copy, Deserialize)]
pub(crate) struct Run {
    locked: bool,
    requests: u32,
    work_ms: u64,
}

#[derive(Serialize)]
pub(crate) struct Totals {
    /// How many requests were answered with success. Each has added one item.
    expected: i64,
    /// How many items the order has.
    found: i64,
}

/// The part of an order that the page shows.
#[derive(Deserialize)]
struct Written {
    quantity: i64,
}

/// Starts a run, and answers when it is over.
pub(crate) async fn start(
    State(runs): State<Runs>,
    Json(run): Json<Run>,
) -> Result<Json<Totals>, Error> {
    if !(1..=MAX_REQUESTS).contains(&run.requests) || run.work_ms > MAX_WORK_MS {
        let words = format!("requests is 1 to {MAX_REQUESTS}, and work_ms at most {MAX_WORK_MS}");
        return Err(Error::BadRequest(words));
    }
    let Ok(permit) = Arc::clone(&runs.permit).try_acquire_owned() else {
        let words = "this instance is already running requests";
        return Err(Error::Conflict(words.to_owned()));
    };
    // In a task of its own, so that it goes on if the page is closed.
    let task = tokio::spawn(async move {
        let totals = runs.run(run).await;
        drop(permit);
        totals
    });
    Ok(Json(task.await.context("a run panicked")??))
}

impl Runs {
    pub(crate) fn new(
        store: Store,
        events: Events,
        instance: Arc<str>,
        peers: impl Into<Arc<[String]>>,
    ) -> Self {
        Self {
            store,
            events,
            instance,
            peers: peers.into(),
            client: Client::builder(TokioExecutor::new()).build_http(),
            permit: Arc::new(Semaphore::new(1)),
        }
    }

    async fn run(&self, run: Run) -> anyhow::Result<Totals> {
        let started = Event::Started {
            locked: run.locked,
            requests: run.requests,
            work_ms: run.work_ms,
            instance: Arc::clone(&self.instance),
        };
        let number = self.events.start(started).await?;
        let requests = (1..).zip(self.peers.iter().cycle());
        let requests = requests.take(run.requests as usize);
        let answers =
            join_all(requests.map(|(request, peer)| self.request(number, run, request, peer)))
                .await;
        let expected = answers.iter().filter(|status| **status == 200).count();
        let order = self.store.show(order_id(number)).await?;
        let totals = Totals {
            expected: i64::try_from(expected)?,
            found: order.map_or(0, |order| order.quantity),
        };
        let Totals { expected, found } = totals;
        self.events.record(number, Event::Ended { expected, found });
        Ok(totals)
    }

    /// Sends one request, and returns the status of its answer; 0 if there is none.
    async fn request(&self, number: i64, run: Run, request: u32, peer: &str) -> u16 {
        let (status, body) = match self.send(number, run, request, peer).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!("request {request} of run {number} got no answer: {error:#}");
                (0, Bytes::new())
            }
        };
        let written = serde_json::from_slice::<Written>(&body);
        let event = Event::Answered {
            request,
            status,
            quantity: written.ok().map(|written| written.quantity),
        };
        self.events.record(number, event);
        status
    }

    async fn send(
        &self,
        number: i64,
        run: Run,
        request: u32,
        peer: &str,
    ) -> anyhow::Result<(u16, Bytes)> {
        let prefix = if run.locked { "" } else { "/unlocked" };
        let (order, work_ms) = (order_id(number), run.work_ms);
        let request = Request::post(format!(
            "{peer}{prefix}/orders/{order}/items?work_ms={work_ms}&run={number}&request={request}"
        ))
        .header(header::CONTENT_TYPE, "application/json")
        .header("prefer", format!("wait={}", WAIT.as_secs()))
        .body(Full::from(r#"{"quantity": 1}"#))?;
        let response = self.client.request(request).await?;
        let status = response.status().as_u16();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

/// The order of a run. Each run has its own, so that it begins with nothing.
fn order_id(run: i64) -> String {
    format!("run-{run}")
}
