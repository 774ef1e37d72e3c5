//! Histories of a run: what clients believed about their locks and what the nodes did, and a check
//! of them that serves every kind of run.
//!
//! A run writes an [`Event`] for every result that a client gets, and for everything that is known
//! of the nodes: in memory, on virtual time, or from several processes into files of one line for
//! each event, which [`Recorder::read`] merges. [`check`] then says which [`Rule`]s did not hold.
//!
//! The clock of a history counts nanoseconds. On virtual time it begins with the run. Otherwise it
//! is the monotonic clock of the machine, which all of its processes share.
//!
//! # What a client has to record
//!
//! | when | event |
//! |---|---|
//! | before it calls `lock` or its like | [`Waits`](What::Waits) |
//! | the call fails, or its future is dropped | [`Leaves`](What::Leaves) |
//! | the call returns a guard | [`Holds`](What::Holds) |
//! | after that, if the lock has a minimum hold | [`Minimum`](What::Minimum) |
//! | a guard is kept alive from now on | [`Keeps`](What::Keeps) |
//! | `extend` has returned `Ok` | [`Extends`](What::Extends) |
//! | before the guard is released, dropped or left, or when it is lost | [`Ends`](What::Ends) |
//!
//! The end is recorded *before* the lock is released, and the grant after the call has returned. So
//! a belief in the history is never longer than the true one, and an overlap of two is never a
//! mistake of the record.
//!
//! If the owner values of a call begin with its [label](Call::label), the record of a node can say
//! whose keys it has.

mod beliefs;
mod calls;
mod check;
mod event;
mod guards;
mod intervals;
mod keys;
mod nodes;
mod record;
mod waits;

#[cfg(test)]
mod tests;

pub use self::{
    check::{Expected, Figures, Rule, Verdict, Wrong, check},
    event::{Call, End, Event, KeyMode, Wants, What},
    record::Recorder,
};
