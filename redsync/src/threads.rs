//! Explorations of what meets on several threads: the queues and hand-overs, waiters for permits that
//! search and step aside, the rounds of a lock
//! whose answers arrive on threads of their own, work in the background, and the keeper.
//!
//! Each scenario runs in hundreds of [orders](crate::sync::interleaved), on the code that runs in
//! production. Where it waits for something that has got lost, time passes that should not, or the
//! scenario does not end. The rooms of a connection have scenarios of their own, in
//! `node/redis/connection/sender/tests.rs`.
//!
//! Not explored:
//!
//! * The thread of the keeper's watchdog, which has its own clock, and waits for a condition.
//! * Work on a runtime that stands still (`background/watched.rs`): it is found out by a clock, and
//!   at most one of two tasks takes the work out of a mutex. Two runtimes cannot run at the same
//!   time, because one thread of the system runs all threads of a scenario. For the same reason the
//!   keeper's move to another runtime is not explored.
//! * The mutexes and channels inside of tokio, redis-rs and deadpool.
//!
//! `cargo test -p redsync-core --all-features --lib interleaved_` explores, and prints how
//! many orders there were.

mod background;
mod keeper;
mod locks;
mod node;
mod permits;
mod rounds;
