//! Who sends a request, and the key that it has.

use axum::{
    extract::{FromRequestParts, Request},
    http::{StatusCode, header, request::Parts},
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::charges::problem;

/// The authenticated sender of a request.
#[derive(Clone)]
pub(crate) struct Customer(pub(crate) String);

/// Stands for real authentication: the bearer token is the customer's name.
pub(crate) async fn authenticate(mut request: Request, next: Next) -> Response {
    let token = (request.headers().get(header::AUTHORIZATION))
        .and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    match token {
        Some(name) if !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric()) => {
            let customer = Customer(name.to_owned());
            request.extensions_mut().insert(customer);
            next.run(request).await
        }
        _ => {
            let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
            (StatusCode::UNAUTHORIZED, challenge).into_response()
        }
    }
}

/// The idempotency key of a request, with the customer for whom it counts.
#[derive(Clone)]
pub(crate) struct IdempotencyKey {
    pub(crate) customer: String,
    pub(crate) key: String,
}

impl IdempotencyKey {
    const MAX_CHARS: usize = 255;

    /// A customer's name has no colon, so different keys have different names.
    pub(crate) fn lock_name(&self, operation: &str) -> String {
        format!("{operation}:{}:{}", self.customer, self.key)
    }

    /// A key is a string of a structured field (section 2.1, and RFC 9651, section 3.3.3). Many clients
    /// leave the quotes out, so `"a"` and `a` are one key. Keys need no blanks and no escapes.
    fn parse(value: &str) -> Option<&str> {
        let key = (value.strip_prefix('"'))
            .and_then(|value| value.strip_suffix('"'))
            .unwrap_or(value);
        let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
        let right = (1..=Self::MAX_CHARS).contains(&key.len()) && key.bytes().all(plain);
        right.then_some(key)
    }
}

impl<S: Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Response> {
        let Some(Customer(customer)) = parts.extensions.get().cloned() else {
            return Err(StatusCode::UNAUTHORIZED.into_response());
        };
        let mut values = parts.headers.get_all("idempotency-key").iter();
        let key = match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok().and_then(Self::parse),
            _ => None,
        };
        let key = key.ok_or_else(|| {
            let words = format!(
                "POST needs one Idempotency-Key of up to {} visible characters, such as a UUID",
                Self::MAX_CHARS
            );
            problem(StatusCode::BAD_REQUEST, &words)
        })?;
        Ok(Self {
            customer,
            key: key.to_owned(),
        })
    }
}
