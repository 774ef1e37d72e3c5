//! How fast a lock over a quorum can be, written by hand for this one purpose.
//!
//! A lock is `SET NX PX` on every node, a release is a script by its hash, and both are over when a
//! quorum has agreed. There is nothing else: no time limits, no validity, no connecting again.
//!
//! There are two of them. [`tokio`] shows what a lock in an async service can reach; [`blocking`] shows
//! how much of that the runtime costs.

pub(crate) mod blocking;
mod resp;
pub(crate) mod tokio;
