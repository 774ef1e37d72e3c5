//! For which locks the nodes are being asked who holds them.
//!
//! Without a bound, each of thousands of refusals would send a command to each node, just when
//! there is most contention.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard},
};

use crate::sync::lock;

/// How many inspections of a layer may be under way.
const MOST: usize = 8;

/// The names of a lock.
type Names = Vec<String>;

/// The inspections that are under way: at most one of the same names, and at most [`MOST`].
#[derive(Clone, Default)]
pub(crate) struct Inspections(Arc<Mutex<HashSet<Names>>>);

impl Inspections {
    /// Counts an inspection until it is dropped. Returns [`None`] if it is to be skipped.
    pub(crate) fn begin(&self, mutex: &redsync::Mutex) -> Option<Inspection> {
        self.enter(mutex.keys().collect())
    }

    fn enter(&self, names: Names) -> Option<Inspection> {
        let mut under_way = self.under_way();
        if under_way.len() >= MOST || !under_way.insert(names.clone()) {
            return None;
        }
        drop(under_way);
        Some(Inspection {
            all: self.clone(),
            names,
        })
    }

    fn under_way(&self) -> MutexGuard<'_, HashSet<Names>> {
        lock(&self.0)
    }
}

/// One inspection that is under way.
pub(crate) struct Inspection {
    all: Inspections,
    names: Names,
}

impl Drop for Inspection {
    fn drop(&mut self) {
        self.all.under_way().remove(&self.names);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inspections_are_limited_in_total_and_to_one_of_the_same_names() {
        let inspections = Inspections::default();
        let enter = |number: usize| inspections.enter(vec![format!("order:{number}")]);
        let first = enter(0).unwrap();
        assert!(enter(0).is_none(), "it is under way");
        let others: Vec<_> = (1..MOST).map(|number| enter(number).unwrap()).collect();
        assert!(enter(MOST).is_none(), "too many in total");
        drop(first);
        assert!(enter(MOST).is_some());
        drop(others);
        assert!(inspections.under_way().is_empty());
    }
}
