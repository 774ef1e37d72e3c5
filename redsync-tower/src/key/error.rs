//! Why a request that needs a lock has no valid key.

use std::{borrow::Cow, error::Error, fmt};

use bytes::Bytes;
use http::{Response, StatusCode};
use redsync::Printable;

/// Why a request that needs a lock has no valid key.
///
/// It has no [source](Error::source). The layer answers with a
/// [`LockRejection`](crate::LockRejection) that is made from it.
///
/// ```
/// use http::StatusCode;
/// use redsync_tower::{LockRejection, key::KeyError};
///
/// let error = KeyError::Rejected(StatusCode::NOT_FOUND, "There is no such order.".into());
/// assert_eq!(LockRejection::from(error).status(), StatusCode::NOT_FOUND);
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum KeyError {
    /// The client made a mistake. The response has status 400 and this text as its `detail`.
    BadRequest(Cow<'static, str>),
    /// The client made a mistake. The response has this status and this text as its `detail`.
    Rejected(StatusCode, Cow<'static, str>),
    /// The client gets this response as it is: status, headers and body. An axum extractor's
    /// rejection becomes one, and a key that is a function can return one, such as a redirect to a
    /// login page.
    ///
    /// The response's extensions also have a [`LockRejection`](crate::LockRejection). A [response
    /// function](crate::RedlockLayer::with_response) of the layer does not change it. A gRPC
    /// request is answered with a [gRPC status](crate::response) that corresponds to the response's
    /// status, unless the response is a gRPC response itself.
    Response(Box<Response<Bytes>>),
    /// The program made a mistake. The response has status 500, and an error event contains this
    /// text, the method and the route. The client does not see them.
    Misconfigured(Cow<'static, str>),
}

/// A shorter way to make a [`KeyError::Response`].
///
/// ```
/// use http::{Request, Response, header};
/// use redsync::Redsync;
/// use redsync_tower::{RedlockLayer, key::KeyError};
///
/// let layer = RedlockLayer::new(Redsync::in_memory(3), |request: &Request<_>| {
///     let Some(session) = request.headers().get("session") else {
///         let login = Response::builder().status(303).header(header::LOCATION, "/login");
///         return Err(KeyError::from(login.body("").expect("a valid response")));
///     };
///     Ok(format!("session:{session:?}"))
/// });
/// # async fn handle(_: Request<()>) -> Result<http::Response<http_body_util::Empty<bytes::Bytes>>, std::convert::Infallible> {
/// #     Ok(http::Response::default())
/// # }
/// # use tower::{Layer, Service};
/// # drop(layer.layer(tower::service_fn(handle)).call(Request::new(())));
/// ```
impl<B: Into<Bytes>> From<Response<B>> for KeyError {
    fn from(response: Response<B>) -> Self {
        Self::Response(Box::new(response.map(Into::into)))
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BadRequest(detail) | Self::Rejected(_, detail) | Self::Misconfigured(detail) => {
                Printable(detail).fmt(f)
            }
            Self::Response(response) => write!(f, "the response has status {}", response.status()),
        }
    }
}

impl Error for KeyError {}
