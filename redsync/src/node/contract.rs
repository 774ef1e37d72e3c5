//! What a [`Node`] has to promise, as tests: for those who write a node or a driver of their own.
//!
//! [`check`] asks a node for everything [the module docs](super) promise, under names of its own,
//! and panics where an answer is not the promised one: with the node, the promise and the answer.
//! It takes a second or two, most of which is waiting for expiries by the node's own clock. The
//! node may be in use by others meanwhile, and what the check leaves behind expires within a minute
//! (counters of fencing tokens, if the node keeps them as Redis does, within a day).
//!
//! The promises are also here one by one, to see at once which of them hold. [`driver`] asks a
//! [`Driver`](super::redis::Driver) for what a `RedisNode` needs to tell apart; a node made of it
//! can then be given to [`check`].
//!
//! This module needs the feature `contract`, which belongs in `dev-dependencies`:
//!
//! ```toml
//! [dev-dependencies]
//! redsync = { version = "0.1", features = ["contract"] }
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
//! # What it cannot see
//!
//! That operations are atomic among those of other clients, that keys outlive a restart, that
//! nothing is sent twice, and that a future stays pending until it is settled what became of its
//! operation. These need a network that can be broken.

mod driver;
mod exclusive;
mod fencing;
mod several;
mod shared;
mod subject;

use futures_util::{FutureExt, future::join_all};

pub use self::{
    driver::driver,
    exclusive::{acquire, expire, extend, heal, inspect, release},
    fencing::{fence, fence_several, lift, raise},
    several::{acquire_several, extend_several, release_several},
    shared::{share, share_several, take_turns},
};
use super::Node;

/// Checks all promises of a node, each under names of its own.
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
/// If a promise is broken, or the node answers with an error.
pub async fn check<N: Node>(node: &N) {
    let promises = [
        acquire(node).boxed(),
        expire(node).boxed(),
        extend(node).boxed(),
        heal(node).boxed(),
        release(node).boxed(),
        inspect(node).boxed(),
        acquire_several(node).boxed(),
        extend_several(node).boxed(),
        release_several(node).boxed(),
        share(node).boxed(),
        share_several(node).boxed(),
        take_turns(node).boxed(),
        fence(node).boxed(),
        fence_several(node).boxed(),
        raise(node).boxed(),
        lift(node).boxed(),
    ];
    // Together, so that their expiries pass together.
    join_all(promises).await;
}
