//! The state of one request that needs a lock, from its arrival to its response.

use std::{mem, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Response};

use crate::{
    common::Common,
    key::LockKey,
    live::PendingPermit,
    rejection::LockRejection,
    response::{Format, prefer},
    telemetry::Telemetry,
};

/// What the layer shares, what the client asks for, and the request's telemetry.
pub(crate) struct RequestContext {
    pub(crate) common: Arc<Common>,
    pub(crate) telemetry: Telemetry,
    format: Format,
    /// How long the client has asked to wait, if it may.
    preferred_wait: Option<Duration>,
}

impl RequestContext {
    pub(crate) fn new(common: Arc<Common>, headers: &HeaderMap) -> Self {
        Self {
            format: Format::of(headers),
            telemetry: Telemetry::new(Arc::clone(&common)),
            preferred_wait: None,
            common,
        }
    }

    /// Counts the request as pending. Returns [`None`] if too many are.
    pub(crate) fn enter(&self, key: &LockKey) -> Option<PendingPermit> {
        let Common { config, live, .. } = &*self.common;
        live.pending.enter(config.waiting.pending, key)
    }

    /// Reads how long the client asks to wait for the lock.
    pub(crate) fn read_preferred_wait(&mut self, headers: &HeaderMap) -> Option<Duration> {
        self.preferred_wait = self.common.config.waiting.preferred(headers);
        self.preferred_wait
    }

    /// Notes that the request has not waited for as long as the client has asked.
    pub(crate) const fn forget_preferred_wait(&mut self) {
        self.preferred_wait = None;
    }

    /// Completes a rejection with the options of the layer, and with what it has seen.
    pub(crate) fn complete(&self, mut rejection: LockRejection) -> LockRejection {
        let Common { config, live, .. } = &*self.common;
        (config.responses).complete(&mut rejection, live.usual_hold.get());
        rejection
    }

    /// Makes the layer's response to the request.
    pub(crate) fn respond(&self, rejection: LockRejection) -> Response<Bytes> {
        self.common.config.responses.respond(rejection, self.format)
    }

    /// Moves the telemetry out, for a body that goes on holding the lock.
    pub(crate) fn take_telemetry(&mut self) -> Telemetry {
        let idle = Telemetry::new(Arc::clone(&self.common));
        mem::replace(&mut self.telemetry, idle)
    }

    /// Completes a response, whether the layer's or the inner service's.
    pub(crate) fn finish<B>(&self, mut response: Response<B>) -> Response<B> {
        if let Some(wait) = self.preferred_wait {
            prefer::apply(response.headers_mut(), wait);
        }
        response
    }
}
