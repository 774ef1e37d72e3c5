//! From a request to a guard: one [attempt], or a [search] of several for the permit of a
//! semaphore; the [wait](mod@wait) while the lock is taken; or the resumption of a lock of another
//! process.

mod attempt;
mod limit;
mod pauses;
mod polls;
mod resume;
mod search;
mod wait;
mod watch;
mod watches;

#[cfg(test)]
pub(crate) use self::attempt::{Decision, decide};
pub(crate) use self::{attempt::Failure, limit::Limit, resume::resume, search::Search, wait::wait};
