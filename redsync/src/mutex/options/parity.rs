//! The options for parity with go-redsync.

use crate::{Mutex, options::NodeTimeout};

/// For parity with go-redsync. Other programs hardly need them.
impl Mutex {
    /// Sets how many attempts [`lock`](Self::lock) makes, including the first. At least 1; 32 by
    /// default.
    ///
    /// Only attempts that follow a [pause](Self::with_retry_delay) count, not those that follow a
    /// [wake-up](crate#waiting). While wake-ups work, most of these attempts [are
    /// skipped](crate::future::Lock#polls), and count all the same.
    #[must_use]
    pub fn with_tries(self, tries: u32) -> Self {
        self.set(|options| options.retry.tries = tries)
    }

    /// Sets the [node time limit](Self::with_node_timeout) as a part of the expiry. Above 0 and at
    /// most 1. (go-redsync's default is 0.05, which is 400 ms of its expiry of 8 s.)
    #[must_use]
    pub fn with_timeout_factor(self, factor: f64) -> Self {
        self.set(|options| options.timing.set_node_timeout(NodeTimeout::Factor(factor)))
    }

    /// Sets whether a call returns as soon as the nodes' votes decide its outcome, rather than when
    /// all nodes have answered or timed out. True by default. (go-redsync's default is false.)
    #[must_use]
    pub fn with_fail_fast(self, fail_fast: bool) -> Self {
        self.set(|options| options.rounds.fail_fast = fail_fast)
    }

    /// Sets whether commands are sent to the nodes in a random order each time. False by default.
    #[must_use]
    pub fn with_shuffled_nodes(self, shuffled: bool) -> Self {
        self.set(|options| options.rounds.shuffled_nodes = shuffled)
    }

    /// Sets whether an extension sets the key again on nodes that have lost it, so that a node that
    /// restarted without data takes part in the lock again. False by default. (go-redsync's
    /// `WithSetNXOnExtend`.)
    ///
    /// It repairs nodes, not locks: the extension succeeds only if a majority has kept the key all
    /// the time, and only then are missing keys set. (go-redsync counts keys that it has just set.
    /// So it can resume a lock that another client has held in between.)
    #[must_use]
    pub fn with_set_if_absent_on_extend(self, set: bool) -> Self {
        self.set(|options| options.kind.heals = set)
    }
}
