//! How long a lock is held, and what happens if it is lost.

/// The options that apply while a request holds its lock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    pub(crate) until: HoldUntil,
    pub(crate) keep_alive: bool,
    pub(crate) on_loss: OnLoss,
}

impl Default for Holding {
    fn default() -> Self {
        Self {
            until: HoldUntil::default(),
            keep_alive: true,
            on_loss: OnLoss::default(),
        }
    }
}

/// When a layer releases the lock of a request. See
/// [`RedlockLayer::with_hold_until`](crate::RedlockLayer::with_hold_until).
///
/// In both cases the lock is also released, in the background, if the inner service panics or the
/// request is dropped, for instance because the client disconnects or an outer timeout elapses. A
/// server notices a disconnect only when it reads from the connection. hyper does not read while
/// the handler leaves bytes of the client unread, such as a request body or a pipelined request. An
/// outer timeout, or [`with_max_hold`](crate::RedlockLayer::with_max_hold), limits how long such a
/// lock is held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum HoldUntil {
    /// The lock is released when the inner service has returned its response, and the response is
    /// sent when the release is confirmed or has failed. So a client that sends its next request at
    /// once does not find its own lock.
    #[default]
    Response,
    /// The lock is released, in the background, when the response body has ended, failed or been
    /// dropped. This is for responses whose body is produced while it is sent.
    ///
    /// If the lock is lost while the body is sent, the body continues, whatever [`OnLoss`] says,
    /// because a response that has begun cannot be withdrawn. A warning event reports the loss.
    BodyEnd,
}

/// The end of a request whose lock is lost while the inner service handles it. See
/// [`RedlockLayer::with_on_loss`](crate::RedlockLayer::with_on_loss).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum OnLoss {
    /// The future of the inner service is dropped, and the response has status 500: the request may
    /// have been carried out in part. If the loss is noticed only when the lock is released, the
    /// response replaces that of the inner service.
    #[default]
    Abort,
    /// The inner service continues. Its response has a [`LockRejection`](crate::LockRejection) in
    /// its extensions.
    Finish,
}
