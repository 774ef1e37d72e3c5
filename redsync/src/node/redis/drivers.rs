//! Drivers for client libraries, each in one file.

#[cfg(feature = "deadpool-redis")]
mod deadpool;
#[cfg(feature = "fred")]
mod fred;
#[cfg(feature = "redis-rs")]
mod multiplexed;
#[cfg(feature = "deadpool-redis")]
mod pool;

#[cfg(feature = "fred")]
pub use self::fred::Fred;
#[cfg(feature = "redis-rs")]
pub use self::multiplexed::Multiplexed;
#[cfg(feature = "deadpool-redis")]
pub use self::{deadpool::Deadpool, pool::Pool};
