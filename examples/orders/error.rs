//! Errors as answers.

use axum::{
    Json,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use serde_json::json;

#[derive(Debug)]
pub(crate) enum Error {
    BadRequest(String),
    Conflict(String),
    NotFound,
    Internal(anyhow::Error),
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::Internal(error)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, words) = match self {
            Self::BadRequest(words) => (StatusCode::BAD_REQUEST, words),
            Self::Conflict(words) => (StatusCode::CONFLICT, words),
            Self::NotFound => (StatusCode::NOT_FOUND, "there is no such order".to_owned()),
            Self::Internal(error) => {
                tracing::error!("a request failed: {error:#}");
                let words = "the request failed".to_owned();
                (StatusCode::INTERNAL_SERVER_ERROR, words)
            }
        };
        (status, Json(json!({ "error": words }))).into_response()
    }
}
