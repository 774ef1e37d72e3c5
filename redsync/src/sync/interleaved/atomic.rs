//! Atomics before whose use the explorer lets another thread go on, or chooses which of the values
//! in memory is read.

use std::{
    mem::ManuallyDrop,
    sync::{OnceLock, atomic::Ordering},
};

use super::{Explorer, explorer};

// An atomic of `std` has nothing to drop, on which constant functions rely.

#[derive(Debug, Default)]
pub(crate) struct AtomicBool {
    value: std::sync::atomic::AtomicBool,
    loom: ManuallyDrop<OnceLock<loom::sync::atomic::AtomicBool>>,
}

#[derive(Debug, Default)]
pub(crate) struct AtomicUsize {
    value: std::sync::atomic::AtomicUsize,
    loom: ManuallyDrop<OnceLock<loom::sync::atomic::AtomicUsize>>,
}

/// Lets another thread go on, under an exploration by shuttle. Returns whether loom explores.
fn is_for_loom() -> bool {
    match explorer() {
        Some(Explorer::Shuttle) => {
            // Any use of one of shuttle's atomics lets the scheduler choose.
            shuttle::sync::atomic::AtomicBool::new(false).load(Ordering::SeqCst);
            false
        }
        Some(Explorer::Loom) => true,
        None => false,
    }
}

macro_rules! atomic {
    ($atomic:ident, $value:ty) => {
        impl $atomic {
            fn loom(&self) -> Option<&loom::sync::atomic::$atomic> {
                let new = || {
                    let value = self.value.load(Ordering::SeqCst);
                    loom::sync::atomic::$atomic::new(value)
                };
                is_for_loom().then(|| self.loom.get_or_init(new))
            }

            pub(crate) fn load(&self, ordering: Ordering) -> $value {
                match self.loom() {
                    Some(loom) => loom.load(ordering),
                    None => self.value.load(ordering),
                }
            }

            pub(crate) fn store(&self, value: $value, ordering: Ordering) {
                match self.loom() {
                    Some(loom) => loom.store(value, ordering),
                    None => self.value.store(value, ordering),
                }
            }
        }
    };
}

atomic!(AtomicBool, bool);
atomic!(AtomicUsize, usize);

impl AtomicBool {
    pub(crate) const fn new(value: bool) -> Self {
        Self {
            value: std::sync::atomic::AtomicBool::new(value),
            loom: ManuallyDrop::new(OnceLock::new()),
        }
    }

    pub(crate) fn swap(&self, value: bool, ordering: Ordering) -> bool {
        match self.loom() {
            Some(loom) => loom.swap(value, ordering),
            None => self.value.swap(value, ordering),
        }
    }
}
