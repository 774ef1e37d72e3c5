//! The state that all mutexes and guards of a [`Redsync`](crate::Redsync) share.

use std::sync::Arc;

use crate::{
    ConfigError, gate::Gate, keep_alive::Keeper, node::AnyNode, nodes::Nodes, queue::Queues,
    services::Services,
};

/// The nodes, the queues of this process, the task that extends guards, and the gate of attempts.
pub(crate) struct Common {
    pub(crate) nodes: Arc<Nodes>,
    pub(crate) services: Arc<Services>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) keeper: Keeper,
    pub(crate) gate: Gate,
}

impl Common {
    pub(crate) fn new(nodes: impl IntoIterator<Item = AnyNode>) -> Result<Arc<Self>, ConfigError> {
        let nodes = Arc::new(Nodes::new(nodes)?);
        let services = Services::new();
        Ok(Arc::new(Self {
            keeper: Keeper::new(services.background.runtimes()),
            nodes,
            services,
            queues: Arc::default(),
            gate: Gate::new(),
        }))
    }
}
