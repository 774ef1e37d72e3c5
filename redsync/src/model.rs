//! The model: the decisions of this crate, in every order of events that a checker can find.
//!
//! The checker ([stateright](https://docs.rs/stateright)) explores every state that a few clients,
//! three nodes and the messages between them can reach. Each message may be delivered at any time,
//! out of order, twice or never; keys may expire, clocks may run ahead, and nodes may crash, with
//! or without their data. From every state in which all is over, one more attempt has to get the
//! lock after an expiry.
//!
//! What decides is the code that runs in production, and no copy of it: the order of commands and
//! what follows from an answer ([`Lane`](crate::lease::Lane), [`Key`](crate::lease::Key)), the
//! count of votes ([`Tally`](crate::quorum::tally::Tally)), what follows from a verdict
//! ([`decide`](crate::acquire::decide), [`agree`](crate::fence::agree)), the validity
//! ([`Period`](crate::lease::Period), `Timing`), and what a node does
//! ([`MemoryState`](crate::node::MemoryState), which a suite of tests compares with the scripts of
//! Redis). The model adds only what is around it: who sends what next, and the network.
//!
//! Worlds that differ in nothing that can matter later are explored once: see
//! [`Step`](action::Step), `World::settle` and [`identity`](world). A few small settings are
//! explored without that, too, to see that it hides nothing.
//!
//! To see that the checker would find a mistake, each [`Flaw`](flaw::Flaw) is planted in turn, and
//! has to be found.
//!
//! `cargo test --release -p redsync-core --lib model -- --nocapture --test-threads 1` explores, and
//! prints how many states there are. With `--include-ignored` after it, it explores the long forms,
//! too.

mod action;
mod flaw;
mod lease;
mod message;
mod properties;
mod server;
mod setting;
mod tests;
mod world;
