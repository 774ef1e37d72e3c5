//! Connections of redis-rs: made when they are first needed, shared by all commands, and replaced
//! when they break or no longer answer.

#[cfg(any(feature = "deadpool-redis", feature = "redis-rs"))]
pub(super) mod batch;
mod health;
pub(super) mod link;
pub(super) mod replies;
pub(super) mod shared;
#[cfg(feature = "tls-rustls")]
mod tls;
pub(super) mod url;
