//! Which requests lock, and which mutex they lock.

use std::{fmt, sync::Arc};

use http::Method;
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

    /// Whether requests with that method lock.
    pub(crate) fn applies_to(&self, method: &Method) -> bool {
        match &self.methods {
            Some(methods) => methods(method),
            None if self.shared_reads => !matches!(*method, Method::OPTIONS | Method::TRACE),
            None => !method.is_safe(),
        }
    }

    /// The mutex for a key.
    pub(crate) fn mutex(&self, key: &LockKey) -> Mutex {
        self.naming.mutex(&self.redsync, key)
    }

    /// The mutex for the key of a request with that method.
    pub(crate) fn mutex_for(&self, key: &LockKey, method: &Method) -> Mutex {
        let mutex = self.mutex(key);
        if self.shared_reads && method.is_safe() {
            mutex.shared()
        } else {
            mutex
        }
    }

    /// Makes [`Redsync::drain`] wait for a request that may come to hold a lock.
    pub(crate) fn drain_guard(&self) -> DrainGuard {
        self.redsync.drain_guard()
    }
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
