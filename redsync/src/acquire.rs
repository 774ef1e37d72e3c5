//! The way from a request to a guard: one [attempt], and the [wait](mod@wait) while the lock is taken; or a lock
//! that is resumed.

mod attempt;
mod limit;
mod resume;
mod wait;
mod watch;

pub(crate) use self::{
    attempt::{Attempt, Failure},
    limit::Limit,
    resume::resume,
    wait::wait,
};
