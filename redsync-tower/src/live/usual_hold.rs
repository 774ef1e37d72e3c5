//! How long locks of a layer are usually held.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// The newest hold has the weight 1/8, as the newest round trip has in TCP (RFC 6298, section 2).
/// So after about twenty holds, the estimate no longer depends on earlier ones.
const PARTS: u64 = 8;

/// A decaying average of holds.
///
/// It is one number that nothing else depends on, so `Relaxed` is enough. If two holds end at once,
/// one of them may not be counted, which an estimate can bear.
#[derive(Default)]
pub(crate) struct UsualHold {
    /// In microseconds. Zero until a hold has ended.
    micros: AtomicU64,
}

impl UsualHold {
    /// Counts a hold that has ended.
    pub(crate) fn add(&self, hold: Duration) {
        let hold = u64::try_from(hold.as_micros()).unwrap_or(u64::MAX).max(1);
        let usual = match self.micros.load(Relaxed) {
            0 => hold,
            usual => usual - usual / PARTS + hold / PARTS,
        };
        self.micros.store(usual, Relaxed);
    }

    /// Returns the estimate: zero until a hold has ended.
    pub(crate) fn get(&self) -> Duration {
        Duration::from_micros(self.micros.load(Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_estimate_follows_the_holds() {
        let usual = UsualHold::default();
        let add = |seconds, times| (0..times).for_each(|_| usual.add(Duration::from_secs(seconds)));
        assert_eq!(usual.get(), Duration::ZERO);
        add(10, 1);
        assert_eq!(usual.get(), Duration::from_secs(10));
        add(2, 1);
        assert_eq!(usual.get(), Duration::from_secs(9));
        add(2, 40);
        assert!(
            usual.get() < Duration::from_millis(2100),
            "{:?}",
            usual.get()
        );
        add(0, 200);
        assert!(usual.get() < Duration::from_millis(1), "{:?}", usual.get());
        add(u64::MAX, 3);
    }
}
