//! The hold of a lease: when it began to hold the lock, and when its validity ends.

mod period;

use std::sync::{OnceLock, atomic::Ordering};

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use self::period::{Extended, Period};
use super::loss::Loss;
use crate::{
    quorum::tally::Verdict,
    sync::{AtomicBool, Mutex},
};

/// The validity as the holder sees it: by the clock of this process, independent of the nodes.
pub(super) struct Hold {
    period: Mutex<Period>,
    /// When a quorum had granted, or when the lock was handed over.
    since: OnceLock<Instant>,
    /// Whether the keys have been released, handed over or left to others: nothing more is acquired
    /// or extended for this lease.
    has_ended: AtomicBool,
    loss: Loss,
    /// Fires when the validity ends early. Made when somebody first waits for it.
    ended_early: OnceLock<CancellationToken>,
}

/// The end of a hold, which has yet to be announced.
#[must_use = "nobody learns of the end before it is announced"]
pub(crate) struct Ended {
    /// When the hold had begun; [`None`] if it had not, or had ended before.
    pub(super) since: Option<Instant>,
    /// Whether the validity was over already.
    pub(super) was_lost: bool,
}

impl Hold {
    /// A hold that has not begun.
    pub(super) fn new(period: Period) -> Self {
        Self {
            period: Mutex::new(period),
            since: OnceLock::new(),
            has_ended: AtomicBool::new(false),
            loss: Loss::default(),
            ended_early: OnceLock::new(),
        }
    }

    /// A hold that begins at `now` with a period that has begun.
    pub(super) fn begun(period: Period, now: Instant) -> Self {
        Self {
            since: OnceLock::from(now),
            ..Self::new(period)
        }
    }

    /// The same instant, or the end of the maximum hold time if that is earlier.
    pub(super) fn capped(&self, until: Instant) -> Instant {
        self.period.lock().capped(until)
    }

    pub(super) fn until(&self) -> Instant {
        self.period.lock().until()
    }

    pub(super) fn is_valid(&self, now: Instant) -> bool {
        self.period.lock().is_valid(now)
    }

    pub(super) fn is_over(&self) -> bool {
        !self.is_valid(Instant::now())
    }

    /// Whether the validity ends with the maximum hold time.
    pub(super) fn is_at_its_limit(&self) -> bool {
        self.period.lock().is_at_its_limit()
    }

    /// Whether the hold has begun, even if it has ended since.
    pub(super) fn was_held(&self) -> bool {
        self.since.get().is_some()
    }

    pub(super) fn has_ended(&self) -> bool {
        // Relaxed, for the reason that `end` gives.
        self.has_ended.load(Ordering::Relaxed)
    }

    /// Begins the hold of a lock that has just been acquired.
    pub(super) fn begin(&self, now: Instant, until: Instant) {
        self.period.lock().begin(until);
        self.since.get_or_init(|| now);
    }

    /// Takes the verdict of an extension, which a majority that granted makes valid up to `until`.
    pub(super) fn extended(&self, verdict: Verdict, until: Instant) -> Extended {
        let mut period = self.period.lock();
        // The clock is read after the mutex was locked, which can take a while.
        period.extended(verdict, Instant::now(), until)
    }

    /// Ends the validity at `now`. Returns whether it was still valid.
    ///
    /// Whoever waits for an early end is notified by [`notify_ended`](Self::notify_ended).
    pub(super) fn cut_short(&self, now: Instant) -> bool {
        self.period.lock().cut_short(now)
    }

    /// Notifies whoever waits for an early end. This calls wakers, so no mutex may be locked.
    pub(super) fn notify_ended(&self) {
        if let Some(ended) = self.ended_early.get() {
            ended.cancel();
        }
    }

    /// Ends the hold, because the lease ends.
    pub(super) fn end(&self, now: Instant) -> Ended {
        // Relaxed: `cut_short` locks `period` after this. A thread that then sees the shorter
        // validity has locked `period` later still, so it sees the end, too, and does not take it
        // for a loss.
        let is_first = !self.has_ended.swap(true, Ordering::Relaxed);
        Ended {
            was_lost: !self.cut_short(now),
            since: self.since.get().copied().filter(|_| is_first),
        }
    }

    /// Notes that the lock was lost while it was held. Returns whether this is the first time.
    pub(super) fn note_loss(&self) -> bool {
        self.was_held() && self.loss.note()
    }

    pub(super) const fn loss(&self) -> &Loss {
        &self.loss
    }

    pub(super) fn ended_early(&self) -> &CancellationToken {
        // A caller reads `until` after this, so it does not miss an end that came before.
        self.ended_early.get_or_init(CancellationToken::new)
    }
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use loom::thread::spawn;

    use super::*;
    use crate::{options::Timing, sync::interleaved::memory};

    const SECOND: Duration = Duration::from_secs(1);

    fn hold(start: Instant, limit: Option<Duration>) -> Hold {
        let mut timing = Timing::default();
        timing.max_hold = limit;
        Hold::new(Period::new(start, &timing))
    }

    #[test]
    fn a_hold_ends_once_and_knows_whether_it_was_lost_before() {
        let now = Instant::now();
        let lease = hold(now, None);
        assert!(!lease.was_held() && !lease.has_ended());
        lease.begin(now, now + SECOND);
        assert!(lease.was_held() && !lease.has_ended() && !lease.is_over());
        let end = lease.end(now);
        assert_eq!((end.since, end.was_lost), (Some(now), false));
        assert!(lease.was_held() && lease.has_ended() && lease.is_over());
        assert_eq!(lease.end(now).since, None);

        let lost = hold(now, None);
        lost.begin(now, now + SECOND);
        assert!(lost.end(now + 2 * SECOND).was_lost);
    }

    #[test]
    fn only_a_lock_that_was_held_can_be_lost_and_only_once() {
        let now = Instant::now();
        let lease = hold(now, None);
        assert!(!lease.note_loss());
        lease.begin(now, now + SECOND);
        assert!(lease.note_loss());
        assert!(!lease.note_loss());
    }

    #[test]
    fn a_hold_is_at_its_limit_when_its_validity_ends_with_the_maximum() {
        let now = Instant::now();
        let lease = hold(now, Some(3 * SECOND));
        lease.begin(now, now + SECOND);
        assert!(!lease.is_at_its_limit());
        assert_eq!(lease.capped(now + 9 * SECOND), now + 3 * SECOND);
        let limited = hold(now, Some(3 * SECOND));
        limited.begin(now, now + 9 * SECOND);
        assert!(limited.is_at_its_limit());
        assert_eq!(limited.until(), now + 3 * SECOND);
    }

    #[test]
    fn an_end_is_not_taken_for_a_loss_in_any_order_of_memory() {
        memory::explore(|| {
            let now = Instant::now();
            let lease = Arc::new(hold(now, None));
            lease.begin(now, now + 3_600 * SECOND);
            assert!(!lease.has_ended());
            let other = Arc::clone(&lease);
            let ends = spawn(move || _ = other.end(now));
            assert!(!lease.is_over() || lease.has_ended());
            ends.join().expect("the holder");
        });
    }
}
