//! Which requests lock, and which mutex they lock.

use std::{fmt, sync::Arc};

use http::{HeaderMap, Method, Request, header};
use redsync::{DrainGuard, Mutex, Redsync};

use super::naming::Naming;
use crate::key::LockKey;

/// The methods that lock, the nodes, and the names on the nodes.
#[derive(Clone)]
pub(crate) struct Locking {
    pub(crate) redsync: Redsync,
    pub(crate) naming: Naming,
    pub(crate) methods: Option<Arc<dyn Fn(&Method) -> bool + Send + Sync>>,
    pub(crate) shared_reads: bool,
}

impl Locking {
    pub(crate) fn new(redsync: Redsync) -> Self {
        Self {
            redsync,
            naming: Naming::default(),
            methods: None,
            shared_reads: false,
        }
    }

    /// Changes the defaults of the mutexes. `change` must keep them valid.
    #[track_caller]
    pub(crate) fn change_defaults(&mut self, change: impl FnOnce(Mutex) -> Mutex, valid: &str) {
        self.redsync = self.redsync.clone().with_defaults(change).expect(valid);
        self.check_shared_reads();
    }

    /// Sets whether requests with safe methods lock in shared mode.
    #[track_caller]
    pub(crate) fn set_shared_reads(&mut self, shared: bool) {
        self.shared_reads = shared;
        self.check_shared_reads();
    }

    #[track_caller]
    fn check_shared_reads(&self) {
        let shared = self.redsync.mutex("name").shared();
        if self.shared_reads {
            shared.check().expect("shared reads have no permits");
        }
    }

    /// Whether a request locks.
    pub(crate) fn applies_to<B>(&self, request: &Request<B>) -> bool {
        match (&self.methods, request.method()) {
            (Some(methods), method) => methods(method),
            (None, &Method::OPTIONS | &Method::TRACE) => false,
            (None, _) => self.shared_reads || !is_safe(request),
        }
    }

    /// The mutex for a key.
    pub(crate) fn mutex(&self, key: &LockKey) -> Mutex {
        self.naming.mutex(&self.redsync, key)
    }

    /// The mutex for the key of a request.
    pub(crate) fn mutex_for<B>(&self, key: &LockKey, request: &Request<B>) -> Mutex {
        let mutex = self.mutex(key);
        if self.shared_reads && is_safe(request) {
            mutex.shared()
        } else {
            mutex
        }
    }

    /// Makes [`Redsync::drain`] wait for a request that may acquire a lock.
    pub(crate) fn drain_guard(&self) -> DrainGuard {
        self.redsync.drain_guard()
    }
}

/// Whether a request only reads. A request for a WebSocket is a GET (RFC 6455, section 4.1), but
/// what it asks for is not. Other upgrades may be answered as ordinary requests, and are sent with
/// them: some clients offer h2c with every GET.
fn is_safe<B>(request: &Request<B>) -> bool {
    request.method().is_safe() && !asks_for_websocket(request.headers())
}

fn asks_for_websocket(headers: &HeaderMap) -> bool {
    let mut protocols = (headers.get_all(header::UPGRADE).iter())
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','));
    protocols.any(|protocol| protocol.trim().eq_ignore_ascii_case("websocket"))
}

impl fmt::Debug for Locking {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Locking")
            .field("redsync", &self.redsync)
            .field("naming", &self.naming)
            .field("shared_reads", &self.shared_reads)
            .finish_non_exhaustive()
    }
}
