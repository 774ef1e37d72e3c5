//! The name that a call locks.

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use prost::Message;
use redsync_tower::key::{KeyError, KeyOutput, LockKey};
use tonic::body::Body;

use crate::generated::UpdateRequest;

/// How long a message with a key may be, in bytes.
const MAX_MESSAGE: usize = 4096;

/// The device of an update. Other calls lock nothing.
///
/// The message is read before anything is locked, so a client that is slow to send it holds no lock.
pub(crate) async fn device(request: Request<Body>) -> KeyOutput<Body> {
    if request.uri().path() != "/devices.v1.Devices/Update" {
        return (request, Ok(None));
    }
    let (parts, body) = request.into_parts();
    if let Ok(body) = Limited::new(body, MAX_MESSAGE).collect().await {
        let body = body.to_bytes();
        let key = name(&body).map(Some);
        let body = Body::new(Full::new(body));
        (Request::from_parts(parts, body), key)
    } else {
        let words = "The message is too long, or broke off.";
        let error = KeyError::Rejected(StatusCode::PAYLOAD_TOO_LARGE, words.into());
        (Request::from_parts(parts, Body::empty()), Err(error))
    }
}

/// A message comes after five bytes: whether it is compressed, which this service does not accept, and its
/// length.
fn name(body: &Bytes) -> Result<LockKey, KeyError> {
    let message = match body.split_first_chunk() {
        Some(([0, _, _, _, _], message)) => UpdateRequest::decode(message).ok(),
        _ => None,
    };
    match message {
        Some(UpdateRequest { device, .. }) if !device.is_empty() => {
            Ok(LockKey::from(format!("device:{device}")))
        }
        _ => Err(KeyError::BadRequest("The message names no device.".into())),
    }
}
