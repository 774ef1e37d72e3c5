//! The site of a lease: the nodes that have its keys, and the runtime that it was made on.

use std::{future::Future, sync::Arc};

use tokio::{runtime::Handle, time::Instant};

use crate::{
    background::Background,
    metrics::LockMetrics,
    nodes::Nodes,
    runtimes::Runtimes,
    services::{Services, Waiting},
};

/// Where a lease has its keys, and where its work in the background runs.
pub(crate) struct Site {
    nodes: Arc<Nodes>,
    services: Arc<Services>,
    /// The runtime for work that begins outside of any runtime.
    home: Option<Handle>,
}

impl Site {
    /// The site of a lease that is made on the current runtime.
    pub(crate) fn new(nodes: &Arc<Nodes>, services: &Arc<Services>) -> Self {
        Self {
            nodes: Arc::clone(nodes),
            services: Arc::clone(services),
            home: services.background.runtimes().current(),
        }
    }

    /// The site of a lease that takes over the keys from a lease at this one.
    pub(super) fn succeeded_by(&self) -> Self {
        Self {
            nodes: Arc::clone(&self.nodes),
            services: Arc::clone(&self.services),
            home: (self.runtimes().known_current()).or_else(|| self.home.clone()),
        }
    }

    pub(super) const fn nodes(&self) -> &Arc<Nodes> {
        &self.nodes
    }

    pub(super) fn is_on(&self, nodes: &Arc<Nodes>) -> bool {
        Arc::ptr_eq(&self.nodes, nodes)
    }

    pub(super) fn background(&self) -> &Background {
        &self.services.background
    }

    fn runtimes(&self) -> &Runtimes {
        self.background().runtimes()
    }

    /// A runtime that lives, for work in the background.
    pub(super) fn living_runtime(&self) -> Option<Handle> {
        self.runtimes().living(self.home.as_ref())
    }

    pub(super) fn waiting(&self) -> &dyn Waiting {
        &*self.services.waiting
    }

    pub(super) fn lock_metrics(&self) -> &LockMetrics {
        &self.services.lock_metrics
    }

    /// Spawns work that has not begun and that outlives its caller, up to a deadline.
    pub(super) fn in_background(
        &self,
        deadline: Instant,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        (self.background()).spawn(self.home.as_ref(), deadline, work);
    }

    /// Spawns work that may have begun on the current runtime.
    pub(super) fn continue_here(
        &self,
        deadline: Instant,
        work: impl Future<Output = ()> + Send + 'static,
    ) {
        (self.background()).spawn_here(self.home.as_ref(), deadline, work);
    }
}
