//! Reading a request body before the lock is acquired.

use std::{
    convert::Infallible,
    error::Error,
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::{Body, Frame, SizeHint};
use http_body_util::LengthLimitError;
use pin_project_lite::pin_project;
use tokio::task::coop;

use super::error::KeyError;

pub(super) type BoxError = Box<dyn Error + Send + Sync>;

pin_project! {
    /// Reads a body to its end.
    pub(super) struct Read<B> {
        #[pin]
        body: B,
        // How many bytes may follow.
        left: usize,
        data: Bytes,
        // The data of more than one frame. They are copied, because small frames can each keep a
        // large buffer of the connection alive.
        copied: Vec<u8>,
        trailers: Option<HeaderMap>,
    }
}

impl<B: Body> Read<B> {
    /// Begins to read a body of at most `limit` bytes.
    ///
    /// # Errors
    ///
    /// Fails at once if the body is known to be longer, as one with a `Content-Length` is.
    pub(super) fn new(body: B, limit: usize) -> Result<Self, KeyError> {
        let length = body.size_hint().lower();
        if usize::try_from(length).map_or(true, |length| length > limit) {
            return Err(too_large());
        }
        Ok(Self {
            body,
            left: limit,
            data: Bytes::new(),
            copied: Vec::new(),
            trailers: None,
        })
    }
}

impl<B> Future for Read<B>
where
    B: Body<Data = Bytes, Error: Into<BoxError>>,
{
    type Output = Result<BufferedBody, KeyError>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        loop {
            // Frames can be empty, and always ready. Other tasks have to run nevertheless.
            let progress = ready!(coop::poll_proceed(cx));
            let Some(frame) = ready!(this.body.as_mut().poll_frame(cx)) else {
                break;
            };
            progress.made_progress();
            let frame = match frame.map_err(Into::into) {
                Ok(frame) => frame,
                Err(error) => return Poll::Ready(Err(failed(&*error))),
            };
            match frame.into_data() {
                Ok(data) => {
                    let Some(left) = this.left.checked_sub(data.len()) else {
                        return Poll::Ready(Err(too_large()));
                    };
                    *this.left = left;
                    if this.data.is_empty() && this.copied.is_empty() {
                        *this.data = data;
                    } else {
                        this.copied.extend_from_slice(&mem::take(this.data));
                        this.copied.extend_from_slice(&data);
                    }
                }
                Err(frame) => *this.trailers = frame.into_trailers().ok(),
            }
        }
        Poll::Ready(Ok(BufferedBody {
            data: if this.copied.is_empty() {
                mem::take(this.data)
            } else {
                mem::take(this.copied).into()
            },
            trailers: this.trailers.take(),
        }))
    }
}

fn too_large() -> KeyError {
    KeyError::Rejected(
        StatusCode::PAYLOAD_TOO_LARGE,
        "the body is too large".into(),
    )
}

fn failed(error: &(dyn Error + 'static)) -> KeyError {
    if is_length_limit(error) {
        too_large()
    } else {
        KeyError::BadRequest("the body cannot be read".into())
    }
}

/// Whether the body has failed because of a limit that an outer layer has set.
fn is_length_limit(error: &(dyn Error + 'static)) -> bool {
    error.is::<LengthLimitError>() || error.source().is_some_and(is_length_limit)
}

/// A request body that has been read before the lock was acquired: its bytes in one frame, and its
/// trailers. Its size is known.
#[derive(Debug, Default)]
pub struct BufferedBody {
    /// Empty if the frame has been sent.
    data: Bytes,
    trailers: Option<HeaderMap>,
}

impl BufferedBody {
    pub(super) fn into_data(self) -> Bytes {
        self.data
    }
}

impl Body for BufferedBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = if self.data.is_empty() {
            self.trailers.take().map(Frame::trailers)
        } else {
            Some(Frame::data(mem::take(&mut self.data)))
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.data.len() as u64)
    }
}
