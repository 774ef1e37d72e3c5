//! What the behaviour tests stand on: real Redis servers that can be killed, stopped and
//! restarted, and a proxy that breaks the network between them and their clients.
//!
//! Everything here is started by a test and gone when the test is over, also when it panics.
//! [`RedisServer`] has a blocking API, so that it can be used from plain and from async tests
//! alike; its calls take milliseconds.

pub mod faulty;
pub mod proxy;
pub mod server;
pub mod wait;

mod ports;

pub use faulty::FaultyNode;
pub use proxy::Proxy;
pub use server::{RedisServer, Servers, UNLOCK_OF_GO};
