//! What players can do.

use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};

use crate::pools::{Match, NAMES, Player, Pools};

pub(crate) fn router(pools: Pools) -> Router {
    Router::new()
        .route("/pools/{pool}/players", post(join))
        .route("/pools/{pool}/matches", get(matches))
        .with_state(pools)
}

async fn join(
    State(pools): State<Pools>,
    Path(pool): Path<String>,
    Json(player): Json<Player>,
) -> Result<StatusCode, Error> {
    let name = &player.name;
    let is_plain = |char: char| char.is_ascii_alphanumeric() || char == '-';
    if !(1..=32).contains(&name.len()) || !name.chars().all(is_plain) {
        return Err(Error::BadName);
    }
    pools.join(existing(&pool)?, player).await?;
    Ok(StatusCode::ACCEPTED)
}

async fn matches(
    State(pools): State<Pools>,
    Path(pool): Path<String>,
) -> Result<Json<Vec<Match>>, Error> {
    Ok(Json(pools.matches(existing(&pool)?).await?))
}

fn existing(pool: &str) -> Result<&str, Error> {
    NAMES.contains(&pool).then_some(pool).ok_or(Error::NoPool)
}

enum Error {
    NoPool,
    BadName,
    Redis(anyhow::Error),
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::Redis(error)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        let (status, words) = match self {
            Self::NoPool => (StatusCode::NOT_FOUND, "there is no such pool"),
            Self::BadName => (
                StatusCode::BAD_REQUEST,
                "a name has 1 to 32 letters, digits and hyphens",
            ),
            Self::Redis(error) => {
                tracing::error!("the pools failed: {error}");
                (
                    StatusCode::SERVICE_UNAVAILABLE,
                    "the pools cannot be reached",
                )
            }
        };
        (status, words).into_response()
    }
}
