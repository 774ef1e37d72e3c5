//! The handlers of the routes.

use std::time::Duration;

use axum::{
    Json,
    extract::{FromRequestParts, Path, Query, State},
    http::{StatusCode, request::Parts},
    response::{IntoResponse, Response},
};
use redsync_tower::redsync::{Redsync, Vote};
use serde::Deserialize;
use serde_json::json;

use crate::store::{Order, Store};

#[derive(Clone)]
pub(crate) struct App {
    pub(crate) store: Store,
    pub(crate) redsync: Redsync,
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
pub(crate) async fn add_items(
    State(app): State<App>,
    OrderId(id): OrderId,
    Query(Work { work_ms }): Query<Work>,
    Json(items): Json<Items>,
) -> Result<Json<Order>, Error> {
    if work_ms > Work::MAX_MS {
        let words = format!("work_ms is at most {}", Work::MAX_MS);
        return Err(Error::BadRequest(words));
    }
    let order = app.store.read(id.clone()).await?.unwrap_or(Order {
        id,
        quantity: 0,
        version: 0,
    });
    tokio::time::sleep(Duration::from_millis(work_ms)).await;
    let order = Order {
        quantity: order.quantity + i64::from(items.quantity),
        version: order.version + 1,
        ..order
    };
    Ok(Json(app.store.write(order).await?))
}

pub(crate) async fn show(
    State(app): State<App>,
    OrderId(id): OrderId,
) -> Result<Json<Order>, Error> {
    app.store.read(id).await?.map(Json).ok_or(Error::NotFound)
}

/// Says that the service is alive, and which nodes answer.
pub(crate) async fn health(State(app): State<App>) -> Response {
    let votes = app.redsync.probe().await;
    let nodes: serde_json::Map<_, _> = (votes.iter())
        .map(|node| {
            let state = match node.vote() {
                Vote::Failed(error) => error.to_string(),
                _ => "answers".to_owned(),
            };
            (node.address().to_owned(), state.into())
        })
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

#[derive(Debug)]
pub(crate) enum Error {
    BadRequest(String),
    NotFound,
    Store(anyhow::Error),
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::Store(error)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, words) = match self {
            Self::BadRequest(words) => (StatusCode::BAD_REQUEST, words),
            Self::NotFound => (StatusCode::NOT_FOUND, "there is no such order".to_owned()),
            Self::Store(error) => {
                tracing::error!("the store failed: {error:#}");
                let words = "the store failed".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, words)
            }
        };
        (status, Json(json!({ "error": words }))).into_response()
    }
}
