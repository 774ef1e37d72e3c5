//! The handlers of the routes.

use std::time::Duration;

use anyhow::Context;
use axum::{
    Json,
    extract::{FromRequestParts, Path, Query, State},
    http::request::Parts,
    response::{IntoResponse, Response},
};
use redsync_tower::{HeldLock, redsync::FencingToken};
use serde::Deserialize;
use serde_json::json;

use crate::{
    error::Error,
    nodes::Nodes,
    store::{Order, Store},
};

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) nodes: Nodes,
}

#[derive(Deserialize)]
pub(crate) struct Work {
    #[serde(default = "Work::default_ms")]
    work_ms: u64,
}

impl Work {
    const MAX_MS: u64 = 600_000;

    const fn default_ms() -> u64 {
        20
    }
}

#[derive(Deserialize)]
pub(crate) struct Items {
    quantity: u32,
}

/// Reads the row, works, and writes the row, without a transaction around it. Such a handler needs a
/// lock.
///
/// The read and the write present the fencing token of the lock. Without a lock it is 0, which is refused once the
/// row has been read under its lock.
pub(crate) async fn add_items(
    State(app): State<App>,
    lock: Option<HeldLock>,
    OrderId(id): OrderId,
    Query(Work { work_ms }): Query<Work>,
    Json(items): Json<Items>,
) -> Result<Json<Order>, Error> {
    if work_ms > Work::MAX_MS {
        let words = format!("work_ms is at most {}", Work::MAX_MS);
        return Err(Error::BadRequest(words));
    }
    let token = lock.as_ref().and_then(HeldLock::fencing_token);
    let token = i64::try_from(token.map_or(0, FencingToken::get)).context("a token")?;

    let later = || Error::Conflict("the order has seen a later lock".to_owned());
    let order = app.store.read(id, token).await?.ok_or_else(later)?;
    tracing::debug!("order {} was read", order.id);
    tokio::time::sleep(Duration::from_millis(work_ms)).await;
    let order = Order {
        quantity: order.quantity + i64::from(items.quantity),
        version: order.version + 1,
        ..order
    };
    let written = app.store.write(order).await?;
    written.map(Json).ok_or_else(later)
}

pub(crate) async fn show(
    State(app): State<App>,
    OrderId(id): OrderId,
) -> Result<Json<Order>, Error> {
    app.store.show(id).await?.map(Json).ok_or(Error::NotFound)
}

/// Says that the service is alive, and which nodes answer.
pub(crate) async fn health(State(app): State<App>) -> Response {
    let nodes = app.nodes.probe().await.into_iter();
    let nodes: serde_json::Map<_, _> = nodes
        .map(|node| (node.address, node.state.into()))
        .collect();
    Json(json!({ "status": "ok", "nodes": nodes })).into_response()
}

/// The `{id}` of the path, of a sensible length.
pub(crate) struct OrderId(String);

impl OrderId {
    const MAX_CHARS: usize = 64;
}

impl<S: Send + Sync> FromRequestParts<S> for OrderId {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Response> {
        let Path(id) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(IntoResponse::into_response)?;
        if id.chars().count() > Self::MAX_CHARS {
            let words = format!("an order's id has at most {} characters", Self::MAX_CHARS);
            return Err(Error::BadRequest(words).into_response());
        }
        Ok(Self(id))
    }
}
