//! Why a transfer was not made.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use redsync_tower::redsync::LockError;
use serde_json::json;

#[derive(Debug)]
pub(crate) enum Error {
    BadRequest(&'static str),
    NoAccount,
    /// The account has less than the amount.
    TooLittle,
    /// Other transfers had an account for as long as this one could wait, or the nodes are down.
    NotLocked(LockError),
    /// Another transfer may have read the balances meanwhile. Nothing was written.
    Lost,
    Store(rusqlite::Error),
}

impl From<LockError> for Error {
    fn from(error: LockError) -> Self {
        Self::NotLocked(error)
    }
}

impl From<rusqlite::Error> for Error {
    fn from(error: rusqlite::Error) -> Self {
        Self::Store(error)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, words) = match self {
            Self::BadRequest(words) => (StatusCode::BAD_REQUEST, words),
            Self::NoAccount => (StatusCode::NOT_FOUND, "there is no such account"),
            Self::TooLittle => (StatusCode::UNPROCESSABLE_ENTITY, "the balance is too small"),
            Self::NotLocked(error) if error.is_contention() => (
                StatusCode::LOCKED,
                "an account is in use by other transfers",
            ),
            Self::NotLocked(error) => {
                tracing::error!("{error}");
                (StatusCode::SERVICE_UNAVAILABLE, "accounts cannot be locked")
            }
            Self::Lost => (StatusCode::SERVICE_UNAVAILABLE, "the lock was lost"),
            Self::Store(error) => {
                tracing::error!("the store failed: {error}");
                (StatusCode::INTERNAL_SERVER_ERROR, "the store failed")
            }
        };
        let body = Json(json!({ "error": words }));
        match status {
            StatusCode::LOCKED | StatusCode::SERVICE_UNAVAILABLE => {
                (status, [(header::RETRY_AFTER, "1")], body).into_response()
            }
            _ => (status, body).into_response(),
        }
    }
}
