//! How often a name changes hands between two acquisitions of this process.

use super::constants::{MOST_CHANGES, RELEARNED_AFTER};

/// The changes of hands between two acquisitions of this process.
///
/// A process that has waited for the usual number of changes lets no other come first. A process
/// that has waited for fewer does. So the name goes around among the processes, instead of at
/// random.
#[derive(Default)]
pub(super) struct Changes {
    /// Since the last acquisition of this process.
    count: u32,
    usual: u32,
    /// How many acquisitions in a row came earlier than usual.
    early: u32,
}

impl Changes {
    /// Counts a change. Returns how many more are usual.
    pub(super) const fn count(&mut self) -> u32 {
        self.count = self.count.saturating_add(1);
        self.usual.saturating_sub(self.count)
    }

    /// Counts anew for a shared holder. Those that follow the first of their run see no change, and
    /// count as one with it.
    pub(super) fn restart_in_run(&mut self) {
        if self.count > 0 {
            self.restart();
        }
    }

    /// Counts anew, because this process has acquired the name. Learns how many changes are usual.
    pub(super) fn restart(&mut self) {
        let count = self.count.min(MOST_CHANGES);
        self.count = 0;
        self.early = if count < self.usual {
            self.early + 1
        } else {
            0
        };
        if count > self.usual || self.early == RELEARNED_AFTER {
            self.usual = count;
            self.early = 0;
        }
    }
}
