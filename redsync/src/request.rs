//! The request for a lock: a mutex whose names and options have been checked.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use crate::{ConfigError, options::Options, printable::Label};

/// The names and options of a mutex, checked.
pub(crate) struct Request {
    /// The name in errors and logs.
    pub(crate) label: Label,
    /// The names with their prefix, sorted and without duplicates.
    pub(crate) names: Arc<[Arc<str>]>,
    pub(crate) options: Arc<Options>,
    /// How many attempts have begun.
    attempts: AtomicU32,
}

impl Request {
    pub(crate) fn new(
        names: &Arc<[Arc<str>]>,
        options: &Arc<Options>,
    ) -> Result<Self, ConfigError> {
        options.check()?;
        let mut keys = names.iter().map(|name| options.key(name));
        let names = if options.key_prefix.is_empty() {
            // The keys are the names: only checked, not copied.
            keys.try_for_each(|key| key.map(drop))?;
            Arc::clone(names)
        } else {
            keys.collect::<Result<_, _>>()?
        };
        let label: Arc<str> = match &names[..] {
            [] => return Err(ConfigError::NoNames),
            [name] => Arc::clone(name),
            names => names.join(", ").into(),
        };
        let label = Label::from(label);
        Ok(Self {
            label,
            names,
            options: Arc::clone(options),
            attempts: AtomicU32::new(0),
        })
    }

    /// Counts an attempt that begins. Returns its number, starting from 1.
    pub(crate) fn count_attempt(&self) -> u32 {
        // Relaxed: nothing else is ordered by this count.
        1 + self.attempts.fetch_add(1, Ordering::Relaxed)
    }

    /// How many attempts have begun.
    pub(crate) fn attempts(&self) -> u32 {
        // Relaxed: the count is for errors. The task that reads it has made the attempts, or has got
        // the request from the task that did, through a mutex.
        self.attempts.load(Ordering::Relaxed)
    }
}
