//! The model: the decisions of this crate, in every order of events that a checker can find.
//!
//! The checker ([stateright](https://docs.rs/stateright)) explores every state that a few clients,
//! three nodes and the messages between them can reach. Each message may be delivered at any time,
//! out of order, twice or never; keys may expire, clocks may run ahead, and nodes may crash, with
//! or without their data. From every state in which all is over, one more attempt has to get the
//! lock after an expiry.
//!
//! What decides is the code that runs in production, and no copy of it:
//!
//! * up to when a command may be sent ([`Command`](crate::lease::Command)), in which order commands
//!   are sent, and what follows from an answer ([`Lane`](crate::lease::Lane),
//!   [`Key`](crate::lease::Key));
//! * which votes count ([`CastVotes`](crate::quorum::cast::CastVotes)), and what follows from the
//!   verdict on an attempt ([`decide`](crate::acquire::decide),
//!   [`agreement`](crate::lease::agreement)) and on an extension
//!   ([`Period::extended`](crate::lease::Period::extended), [`extended`](crate::lease::extended));
//! * the validity ([`Period`](crate::lease::Period), `Timing`), and what the next holder gets
//!   ([`Held`](crate::lease::Held));
//! * what a node does ([`MemoryState`](crate::node::MemoryState), which a suite of tests compares
//!   with the scripts of Redis).
//!
//! What carries a decision out is I/O in production, and written again [here](lease). A command is
//! put on its way, or votes, as its lane says. After a verdict, the round starts that was decided
//! on, or the validity is cut short. A release is repeated, but without a pause. A command is
//! answered once, or given up, as a question is. The time limit of a round may end at any time, but
//! that of an attempt not within a tick.
//!
//! Worlds that differ in nothing that can matter later are explored once: see
//! [`Step`](action::Step), `World::settle` and [`identity`](world). A few small settings are
//! explored without that, too, to see that it hides nothing.
//!
//! To see that the checker would find a mistake, each [`Flaw`](flaw::Flaw) is planted in turn, and
//! has to be found.
//!
//! `cargo test -p redsync-core --lib model -- --include-ignored --skip long_forms --nocapture` explores,
//! and prints how many states there are. Without `--skip long_forms`, it explores the long forms, too.

mod action;
mod flaw;
mod lease;
mod message;
mod properties;
mod server;
mod setting;
mod tests;
mod world;
