//! Connections of redis-rs: made when they are first needed, shared by all commands, and replaced
//! when they break or no longer answer.

pub(super) mod batch;
mod collector;
mod health;
pub(super) mod item;
pub(super) mod link;
mod list;
pub(super) mod replies;
mod sent;
pub(super) mod shared;
#[cfg(feature = "tls-rustls")]
mod tls;
pub(super) mod url;
