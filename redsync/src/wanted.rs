//! What is wanted: a mutex whose names and options have been checked.

use std::sync::Arc;

use crate::{Redsync, options::Options};

/// The names and options of a mutex, checked.
pub(crate) struct Wanted {
    pub(crate) redsync: Redsync,
    /// What errors and logs call it.
    pub(crate) label: Arc<str>,
    /// With the prefix, sorted, no two alike.
    pub(crate) names: Arc<[Arc<str>]>,
    pub(crate) options: Arc<Options>,
}
