//! Two hand-written clients that show how fast a lock over a quorum can be.
//!
//! A lock is `SET NX PX` on every node, a release is a script by its hash, and both are over when a
//! quorum has agreed. There is nothing else: no time limits, no validity, no reconnecting.
//!
//! [`tokio`] shows what a lock in an async service can reach. [`blocking`] shows how much of that
//! the runtime costs.

pub(crate) mod blocking;
mod resp;
pub(crate) mod tokio;
