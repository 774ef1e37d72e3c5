//! The handlers of the routes.

use std::time::Duration;

use axum::{
    Extension, Json,
    body::Bytes,
    extract::{Query, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use redsync_tower::HeldLock;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use crate::{
    key::{Customer, IdempotencyKey},
    store::{Answer, Begun, Store},
};

#[derive(Deserialize)]
pub(crate) struct Work {
    #[serde(default)]
    work_ms: u64,
}

#[derive(Deserialize, Serialize)]
pub(crate) struct Charge {
    pub(crate) amount: u32,
}

/// A charge above this is declined.
const LIMIT: u32 = 10_000;

/// Makes a charge once for each key. The lock of the key is held.
pub(crate) async fn make(
    State(store): State<Store>,
    key: IdempotencyKey,
    lock: HeldLock,
    Query(Work { work_ms }): Query<Work>,
    body: Bytes,
) -> Result<Response, Error> {
    let Ok(Json(charge)) = Json::<Charge>::from_bytes(&body) else {
        return Ok(problem(StatusCode::BAD_REQUEST, "the body is not a charge"));
    };
    let token = lock.fencing_token().expect("the layer has fencing on");
    // The fingerprint of the payload (section 2.4).
    let fingerprint = Sha256::digest(&body).to_vec();
    match store.begin(key.clone(), fingerprint, token).await? {
        Begun::New => {}
        Begun::Answered(answer) => {
            return Ok(([("idempotent-replayed", "true")], answer).into_response());
        }
        Begun::OtherPayload => {
            let words = "the Idempotency-Key was used for another payload";
            return Ok(problem(StatusCode::UNPROCESSABLE_ENTITY, words));
        }
        Begun::Superseded => return Ok(superseded()),
    }

    // Stands for a check for fraud, or a call of a payment provider with this key.
    tokio::time::sleep(Duration::from_millis(work_ms)).await;

    let answer = if charge.amount > LIMIT {
        Answer::new(StatusCode::PAYMENT_REQUIRED, &json!({ "declined": charge }))
    } else {
        Answer::new(StatusCode::CREATED, &json!({ "charged": charge }))
    };
    let charge = (answer.status == StatusCode::CREATED).then_some(charge);
    Ok(match store.finish(key, token, charge, answer).await? {
        Some(answer) => answer.into_response(),
        None => superseded(),
    })
}

/// The amounts that the customer has been charged.
pub(crate) async fn list(
    State(store): State<Store>,
    Extension(customer): Extension<Customer>,
) -> Result<Json<Vec<Charge>>, Error> {
    Ok(Json(store.charges(customer).await?))
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let json = [(header::CONTENT_TYPE, "application/json")];
        (self.status, json, self.body).into_response()
    }
}

/// This request lost its lock, and a later one with the key has begun.
fn superseded() -> Response {
    let words = "another request with this Idempotency-Key is in flight";
    problem(StatusCode::CONFLICT, words)
}

/// Problem details (RFC 9457).
pub(crate) fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({ "status": status.as_u16(), "detail": detail }).to_string();
    let json = [(header::CONTENT_TYPE, "application/problem+json")];
    (status, json, body).into_response()
}

pub(crate) struct Error(anyhow::Error);

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Error {
    fn into_response(self) -> Response {
        tracing::error!("the store failed: {:#}", self.0);
        problem(StatusCode::INTERNAL_SERVER_ERROR, "the store failed")
    }
}
