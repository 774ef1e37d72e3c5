//! A mutex whose names and options have been checked, on its way to a lock.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering},
};

use crate::{ConfigError, options::Options};

/// The names and options of a mutex, checked.
pub(crate) struct Request {
    /// The name in errors and logs.
    pub(crate) label: Arc<str>,
    /// With the prefix, sorted, no two alike.
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
        let label = match &names[..] {
            [] => return Err(ConfigError::NoNames),
            [name] => Arc::clone(name),
            names => names.join(", ").into(),
        };
        Ok(Self {
            label,
            names,
            options: Arc::clone(options),
            attempts: AtomicU32::new(0),
        })
    }

    /// The number of the attempt that begins, from 1 on.
    pub(crate) fn count_attempt(&self) -> u32 {
        // A count on its own, that nothing else is ordered by.
        1 + self.attempts.fetch_add(1, Ordering::Relaxed)
    }

    /// How many attempts have begun.
    pub(crate) fn attempts(&self) -> u32 {
        self.attempts.load(Ordering::Relaxed)
    }
}
