//! When the job is due.

use std::{
    fmt,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use tokio::time::sleep;

/// How long to sleep without a look at the clock, which may be set meanwhile.
const NAP: Duration = Duration::from_secs(1);

/// The times at which the job is due: the multiples of an interval since 1970, by the clock of this machine.
pub(crate) struct Schedule {
    every: Duration,
    /// How far this clock is ahead.
    ahead: Duration,
}

/// The number of a run, which is the same on all instances.
#[derive(Clone, Copy)]
pub(crate) struct Run(u64);

impl Schedule {
    pub(crate) fn new(every: Duration, ahead: Duration) -> Self {
        Self { every, ahead }
    }

    /// The next run that is due.
    pub(crate) fn next(&self) -> Run {
        Run(millis(self.now()) / millis(self.every) + 1)
    }

    /// Waits until the run is due. Returns how late it is.
    pub(crate) async fn reach(&self, run: Run) -> Duration {
        let due = Duration::from_millis(millis(self.every) * run.0);
        loop {
            let now = self.now();
            match due.checked_sub(now) {
                Some(left) if !left.is_zero() => sleep(left.min(NAP)).await,
                _ => return now - due,
            }
        }
    }

    fn now(&self) -> Duration {
        let since = SystemTime::now().duration_since(UNIX_EPOCH);
        since.expect("a clock that is set") + self.ahead
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).expect("a time of this era")
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "run {}", self.0)
    }
}
