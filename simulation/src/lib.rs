//! Simulations on virtual time: processes with all that the crate has, clients that poll, nodes in
//! memory, and a bad network between them, from a seed.
//!
//! Everything in a run follows from its seed, so that a run that fails can be replayed. The clients
//! record their results and the nodes record their keys, and the [check of histories](history)
//! judges both. A [`Flaw`] can be planted, to see that it is found.

pub mod history;

mod chance;
mod client;
mod condition;
mod flaw;
mod floor;
mod link;
mod poller;
mod process;
mod run;
mod server;
mod setting;
mod stalling;
mod weather;

pub use self::{
    flaw::Flaw,
    floor::shortages,
    run::{Outcome, run},
    setting::{Setting, WakeUps},
};
