//! Pages for those who run a service with the layer.
//!
//! * [`hostile_clients`]: what a client can do with a lock, and what limits it.
//! * [`redsync::guide`] has the pages that concern the layer and the lock alike: deployment, what
//!   is promised and proven, and each warning and error with what to do.

#[doc = include_str!("docs/hostile-clients.md")]
pub mod hostile_clients {}
