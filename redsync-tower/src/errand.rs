//! What goes with a request from the beginning to the end: the layer's configuration, what the
//! client asks for, and what is told about the lock.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Response};
use redsync::{DrainDelay, Lock, LockError, Mutex};

use crate::{LockRejection, layer::Config, prefer, record::Record};

pub(crate) struct Errand {
    pub(crate) config: Arc<Config>,
    pub(crate) record: Record,
    preferred_wait: Option<Duration>,
    form: Form,
    /// From when a lock may be had until the guard is gone.
    delays_drain: Option<DrainDelay>,
}

impl Errand {
    pub(crate) fn new(config: Arc<Config>, headers: &HeaderMap) -> Self {
        Self {
            config,
            form: form(headers),
            record: Record::new(),
            preferred_wait: None,
            delays_drain: None,
        }
    }

    /// Begins to wait for the lock.
    pub(crate) fn lock(&mut self, mutex: &Mutex, headers: &HeaderMap) -> Lock {
        self.delays_drain = Some(self.config.delay_drain());
        self.preferred_wait = self.config.preferred_wait(headers);
        self.config.lock(mutex, self.preferred_wait)
    }

    /// The layer's answer.
    pub(crate) fn refuse(&self, rejection: LockRejection) -> Response<Bytes> {
        self.config.refuse(rejection, self.form)
    }

    /// The request goes on without its lock.
    pub(crate) fn pass(&mut self, error: &LockError) {
        self.record.passed(error);
        self.delays_drain = None;
    }

    /// What a body takes over that holds the lock on.
    pub(crate) fn leave(&mut self) -> (Record, Option<DrainDelay>) {
        let record = std::mem::replace(&mut self.record, Record::new());
        (record, self.delays_drain.take())
    }

    /// The response, saying that it was waited as the client preferred, if it was.
    pub(crate) fn finish<B>(&mut self, mut response: Response<B>) -> Response<B> {
        self.delays_drain = None;
        if let Some(wait) = self.preferred_wait {
            prefer::apply(response.headers_mut(), wait);
        }
        response
    }
}

/// What makes a response of a rejection, unless the layer has something of its own.
pub(crate) type Form = fn(&LockRejection) -> Response<Bytes>;

/// The form that who sent these headers understands.
#[cfg(feature = "grpc")]
fn form(headers: &HeaderMap) -> Form {
    if crate::grpc::is_spoken(headers) {
        LockRejection::to_grpc_response
    } else {
        LockRejection::to_response
    }
}

#[cfg(not(feature = "grpc"))]
fn form(_: &HeaderMap) -> Form {
    LockRejection::to_response
}
