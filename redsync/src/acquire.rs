//! From a request to a guard: one [attempt], the [wait](mod@wait) while the lock is taken, or the
//! resumption of a lock of another process.

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
