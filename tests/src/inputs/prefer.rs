//! The header `Prefer`, as a layer reads it.

use std::{convert::Infallible, time::Duration};

use http::{HeaderMap, HeaderValue, Request, Response};
use http_body_util::Empty;
use redsync::Redsync;
use redsync_tower::{RedlockLayer, key::LockKey};
use tower::{Layer, ServiceExt, service_fn};

use super::block_on;

/// Checks that a request is answered whatever its preferences say, and that a wait that is applied
/// is a number.
///
/// # Panics
///
/// Panics if that does not hold.
pub fn check(fields: &[Vec<u8>]) {
    let fields = fields.iter().map(|field| HeaderValue::from_bytes(field));
    // Servers refuse anything else themselves.
    if let Ok(fields) = fields.collect::<Result<Vec<_>, _>>() {
        applied(fields);
    }
}

/// Checks that of these preferences, each with a name and a value, the first `wait` counts.
///
/// # Panics
///
/// Panics if that does not hold.
pub fn check_list(preferences: &[(String, String)]) {
    let is_token = |text: &str| text.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let written = preferences.iter().map(|(name, value)| {
        let value = value.replace('\\', r"\\").replace('"', r#"\""#);
        HeaderValue::try_from(format!(r#"{name} = "{value}"; p="{value}, wait=1""#))
    });
    let Ok(written) = written.collect::<Result<Vec<_>, _>>() else {
        return;
    };
    if !preferences.iter().all(|(name, _)| is_token(name)) {
        return;
    }
    let wait = preferences
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("wait"));
    let seconds = wait.and_then(|(_, value)| {
        let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| value.parse().unwrap_or(u64::MAX))
    });
    assert_eq!(applied(written), seconds, "{preferences:?}");
}

/// The wait that a layer has applied, which lets clients wait for as long as they like.
fn applied(fields: Vec<HeaderValue>) -> Option<u64> {
    let mut request = Request::new(());
    for field in fields {
        request.headers_mut().append("prefer", field);
    }
    *request.method_mut() = http::Method::POST;
    let layer = RedlockLayer::new(Redsync::in_memory(1), |_: &Request<()>| LockKey::from("a"));
    let service = layer
        .with_preferred_wait(Duration::MAX)
        .layer(service_fn(handle));
    let Ok(response) = block_on(service.oneshot(request));
    assert!(response.status().is_success());
    wait(response.headers())
}

async fn handle(_: Request<()>) -> Result<Response<Empty<bytes::Bytes>>, Infallible> {
    Ok(Response::default())
}

fn wait(headers: &HeaderMap) -> Option<u64> {
    let applied = headers.get("preference-applied")?;
    let applied = applied.to_str().expect("text");
    let seconds = applied.strip_prefix("wait=").expect("a wait");
    Some(seconds.parse().expect("a number"))
}
