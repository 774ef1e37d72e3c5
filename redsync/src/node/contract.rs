//! Tests of what a [`Node`] has to promise, for authors of nodes and drivers.
//!
//! [`check`] tests [all promises](super#what-a-node-has-to-promise) that can be seen in the answers
//! of a node. If an answer breaks a promise, `check` panics with a message that names the node, the
//! promise and the answer. It takes a few seconds, because it waits for expiries by the node's own
//! clock. It uses names of its own, so the node may be in use. The keys that it leaves behind
//! expire within a minute, and the counters of fencing tokens within a day.
//!
//! The other functions test one promise each, to show which of them hold. [`driver`] tests a
//! [`Driver`](super::redis::Driver): whether it returns the replies that a `RedisNode` has to tell
//! apart. After that, run [`check`] on a node with this driver. The future of any of them can be
//! dropped: the keys that it has set expire.
//!
//! This module needs the feature `contract`, which belongs in `dev-dependencies`:
//!
//! ```toml
//! [dev-dependencies]
//! redsync-core = { version = "0.1", features = ["contract"] }
//! ```
//!
//! ```
//! use redsync::node::{MemoryNode, contract};
//!
//! #[tokio::main(flavor = "current_thread", start_paused = true)]
//! async fn main() {
//!     contract::check(&MemoryNode::new()).await;
//! }
//! ```
//!
//! # What it cannot test
//!
//! Four promises would need other clients, a restart, or a network that can be broken: that
//! operations are atomic with respect to those of other clients, that keys outlive a restart, that
//! nothing is sent twice, and that a future stays pending until the outcome of its operation is
//! certain.

mod driver;
mod exclusive;
mod fencing;
mod several;
mod shared;
mod subject;

use futures_util::{FutureExt, future::join_all};

pub use self::{
    driver::driver,
    exclusive::{acquire, expire, extend, heal, inspect, release, release_after},
    fencing::{fence, fence_several, lift, raise},
    several::{acquire_several, extend_several, release_several},
    shared::{let_exclusive_enter, share, share_several},
};
use super::Node;

/// Tests all promises of a node, each under names of its own.
///
/// ```no_run
/// # #[cfg(feature = "deadpool-redis")]
/// # async fn example() -> Result<(), redsync::ConfigError> {
/// use redsync::node::{contract, redis::RedisNode};
///
/// contract::check(&RedisNode::connect("redis://127.0.0.1")?).await;
/// # Ok(())
/// # }
/// ```
///
/// # Panics
///
/// Panics if a promise is broken, or the node answers with an error.
pub async fn check<N: Node>(node: &N) {
    let promises = [
        acquire(node).boxed(),
        expire(node).boxed(),
        extend(node).boxed(),
        heal(node).boxed(),
        release(node).boxed(),
        release_after(node).boxed(),
        inspect(node).boxed(),
        acquire_several(node).boxed(),
        extend_several(node).boxed(),
        release_several(node).boxed(),
        share(node).boxed(),
        share_several(node).boxed(),
        let_exclusive_enter(node).boxed(),
        fence(node).boxed(),
        fence_several(node).boxed(),
        raise(node).boxed(),
        lift(node).boxed(),
    ];
    // All at once, so that their expiries pass at the same time.
    join_all(promises).await;
}
