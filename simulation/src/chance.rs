//! Random times.

use std::time::Duration;

use fastrand::Rng;

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// A whole number of milliseconds from one to another. A time that ends with a millisecond costs a
/// simulation less.
pub(super) fn whole(rng: &mut Rng, from: u64, to: u64) -> Duration {
    ms(rng.u64(from..=to))
}
