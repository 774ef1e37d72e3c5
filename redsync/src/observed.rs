//! Calls of the code that observes locks: the recorder of metrics and the subscriber of events.

use std::panic::{AssertUnwindSafe, catch_unwind};

/// Reports something to a recorder or a subscriber. They are code of the service, and may panic:
/// the panic is reported by its hook, and ends here. It would end a task that works for all locks,
/// such as the one that reads replies or the one that extends guards, or leave an answer uncounted.
pub(crate) fn observed(report: impl FnOnce()) {
    // What a report has changed is for observers only, so it is no worse than a report that was
    // lost.
    let _ = catch_unwind(AssertUnwindSafe(report));
}
