//! What is wanted: a mutex whose names and options have been checked.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use crate::{Redsync, options::Options};

/// The names and options of a mutex, checked.
pub(crate) struct Wanted {
    pub(crate) redsync: Redsync,
    /// What errors and logs call it.
    pub(crate) label: Arc<str>,
    /// With the prefix, sorted, no two alike.
    pub(crate) names: Arc<[Arc<str>]>,
    pub(crate) options: Arc<Options>,
    /// How many tries have been begun.
    pub(crate) attempts: AtomicU32,
}

impl Wanted {
    /// The number of the try that begins, from 1 on.
    pub(crate) fn count_attempt(&self) -> u32 {
        1 + self.attempts.fetch_add(1, Ordering::Relaxed)
    }
}
