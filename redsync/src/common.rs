//! The state that all mutexes and guards of a [`Redsync`](crate::Redsync) share.

use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    ConfigError,
    gate::Gate,
    keep_alive::Keeper,
    lease::{Lease, Site},
    node::AnyNode,
    nodes::Nodes,
    queue::{OwnedLease, Queues},
    services::Services,
};

/// The nodes and services, the queues of this process, the task that extends guards, and the gate
/// of attempts.
pub(crate) struct Common {
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) services: Arc<Services>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) keeper: Keeper,
    pub(crate) gate: Gate,
    /// When this was made.
    pub(crate) since: Instant,
}

impl Common {
    pub(crate) fn new(nodes: impl IntoIterator<Item = AnyNode>) -> Result<Arc<Self>, ConfigError> {
        let nodes = Arc::new(Nodes::new(nodes)?);
        let queues = Arc::<Queues>::default();
        let services = Services::new(Arc::clone(&queues) as _);
        Ok(Arc::new(Self {
            keeper: Keeper::new(services.background.runtimes()),
            nodes,
            services,
            queues,
            gate: Gate::new(),
            since: Instant::now(),
        }))
    }

    /// The site of a lease that is made on the current runtime.
    pub(crate) fn site(&self) -> Site {
        Site::new(&self.nodes, &self.services)
    }

    /// Makes the owner of a lease, which hands it over or releases it.
    pub(crate) fn own(&self, lease: Arc<Lease>) -> OwnedLease {
        OwnedLease::new(lease, Arc::clone(&self.queues))
    }
}
