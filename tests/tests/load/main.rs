//! Thousands of guards, waiters and attempts at once. The benchmark `scale` measures what they
//! cost; these tests assert what must hold at any speed.

mod busy;
mod crowds;
mod kept;
mod outage;
mod overload;
mod permits;

use std::time::Duration;

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
