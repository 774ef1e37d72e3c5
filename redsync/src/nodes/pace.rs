//! The pace at which the releases in a [backlog](super::backlog) are repeated.

use std::time::Duration;

/// The first and the longest pause. A new connection is made in less than the first. While a server
/// loads its data, which takes seconds or minutes, it is tested once in the longest, and when it is
/// done, the releases follow no later than that.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The largest batch. A connection has no more commands under way.
const LARGEST_BATCH: usize = 1024;

pub(super) struct Pace {
    pause: Duration,
    batch: usize,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            pause: FIRST_PAUSE,
            batch: 1,
        }
    }
}

impl Pace {
    /// The pause before the next test: half of it at least, so that the processes that wait for a
    /// node do not all test it at the same time.
    pub(super) fn pause(&self) -> Duration {
        self.pause.mul_f64(0.5 + fastrand::f64() / 2.0)
    }

    /// How many releases are repeated together.
    pub(super) const fn batch(&self) -> usize {
        self.batch
    }

    /// All releases of a batch have succeeded.
    pub(super) fn succeeded(&mut self) {
        self.batch = (2 * self.batch).min(LARGEST_BATCH);
    }

    /// A release has failed, or was not answered.
    pub(super) fn failed(&mut self) {
        self.batch = 1;
        self.pause = (2 * self.pause).min(LONGEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_fails_is_tested_by_one_release_at_a_time_ever_more_rarely() {
        let mut pace = Pace::default();
        let mut longest = FIRST_PAUSE;
        for _ in 0..10 {
            assert_eq!(pace.batch(), 1);
            let pause = pace.pause();
            assert!(longest / 2 <= pause && pause <= longest, "{pause:?}");
            pace.failed();
            longest = (2 * longest).min(LONGEST_PAUSE);
        }
        assert_eq!(longest, LONGEST_PAUSE);
    }

    #[test]
    fn batches_grow_while_all_of_them_succeed() {
        let mut pace = Pace::default();
        let batches = [(); 12].map(|()| {
            pace.succeeded();
            pace.batch()
        });
        assert_eq!(batches[..3], [2, 4, 8]);
        assert_eq!(batches.last(), Some(&LARGEST_BATCH));
        pace.failed();
        assert_eq!(pace.batch(), 1);
    }
}
