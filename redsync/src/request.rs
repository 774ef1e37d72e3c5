//! The request for a lock: a mutex whose names and options have been checked.

mod permits;

use std::{
    iter,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};

pub(crate) use self::permits::Permits;
use crate::{
    ConfigError,
    options::{Options, permit_key},
    printable::Label,
};

/// The names and options of a mutex, checked.
pub(crate) struct Request {
    /// The name in errors and logs.
    pub(crate) label: Label,
    /// The names with their prefix, sorted and without duplicates: the keys of the first permit,
    /// and the names of the queues that a waiter joins.
    pub(crate) names: Arc<[Arc<str>]>,
    /// The keys of the other permits, of which a mutex has none.
    more: Box<[Arc<[Arc<str>]>]>,
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
            more: more_permits(&names, options.kind.permits)?,
            names,
            options: Arc::clone(options),
            attempts: AtomicU32::new(0),
        })
    }

    /// The keys of each permit. The lock is any one of them.
    pub(crate) fn permits(&self) -> impl Iterator<Item = &Arc<[Arc<str>]>> {
        iter::once(&self.names).chain(&self.more)
    }

    /// The keys of the permit with this index.
    pub(crate) fn permit(&self, index: usize) -> &Arc<[Arc<str>]> {
        match index.checked_sub(1) {
            None => &self.names,
            Some(index) => &self.more[index],
        }
    }

    /// Whether these are the keys of one of the permits.
    pub(crate) fn has_permit(&self, names: &[Arc<str>]) -> bool {
        self.permits().any(|permit| permit[..] == *names)
    }

    /// Whether there is more than one permit.
    pub(crate) fn is_semaphore(&self) -> bool {
        !self.more.is_empty()
    }

    /// Counts an attempt that begins. Returns its number, starting from 1.
    pub(crate) fn count_attempt(&self) -> u32 {
        // Relaxed: nothing else is ordered by this count.
        1 + self.attempts.fetch_add(1, Ordering::Relaxed)
    }

    /// How many attempts have begun.
    pub(crate) fn attempts(&self) -> u32 {
        // Relaxed: the count is for errors. The task that reads it has made the attempts, or has
        // got the request from the task that did, through a mutex.
        self.attempts.load(Ordering::Relaxed)
    }
}

/// The keys of all permits but the first.
fn more_permits(names: &[Arc<str>], permits: usize) -> Result<Box<[Arc<[Arc<str>]>]>, ConfigError> {
    if permits == 1 {
        return Ok(Box::default());
    }
    let [name] = names else {
        let must = "1 for a lock with several names";
        return Err(ConfigError::option("permits", must, &permits));
    };
    let keys = |number| Arc::from([permit_key(name, number).into()]);
    Ok((2..=permits).map(keys).collect())
}
