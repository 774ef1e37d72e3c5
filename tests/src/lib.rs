//! What the tests share: real Redis servers that can be killed, stopped and restarted, a proxy that
//! breaks the network between them and their clients, another that refuses commands, and a node
//! with planned faults.
//!
//! A test starts everything here, and it is gone when the test is over, even if the test panics.
//! [`RedisServer`] has a blocking API, so that it can be used from plain and from async tests
//! alike; its calls take milliseconds.

pub mod bench;
pub mod copies;
pub mod faulty;
pub mod files;
pub mod growth;
pub mod http;
pub mod inputs;
pub mod program;
pub mod proxy;
pub mod refusing;
pub mod server;
pub mod service;
pub mod stop;
pub mod wait;
pub mod watched;

mod ports;

pub use copies::Copies;
pub use faulty::FaultyNode;
pub use program::Program;
pub use proxy::Proxy;
pub use refusing::RefusingProxy;
pub use server::{RedisServer, Servers, UNLOCK_OF_GO};
pub use service::Service;

/// The code of the READMEs, which is compiled by doc-tests.
#[cfg(doctest)]
#[doc = include_str!("../../README.md")]
#[doc = include_str!("../../redsync/README.md")]
#[doc = include_str!("../../redsync-tower/README.md")]
pub mod readmes {}
