//! Connections of redis-rs: made when they are first needed, shared by all commands, and replaced
//! when they break or no longer answer.

pub(super) mod client_name;
mod collector;
pub(super) mod connect;
mod connecting;
mod health;
pub(super) mod item;
pub(super) mod kind;
pub(super) mod link;
mod list;
pub(super) mod replies;
pub(super) mod sender;
mod sent;
#[cfg(feature = "tls-rustls")]
mod tls;
pub(super) mod url;
