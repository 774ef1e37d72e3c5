//! The way from a request to a guard: one [attempt], and the [wait] while the lock is taken.

mod attempt;
mod retry;
mod wait;
mod watch;

pub(crate) use self::{
    attempt::{Attempt, Failure},
    retry::Limit,
    wait::wait,
};
