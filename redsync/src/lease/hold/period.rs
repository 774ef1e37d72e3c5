//! The period for which a holder may believe that it holds the lock.
//!
//! Pure: it has no clock of its own. So the model checker drives it as it is.

use tokio::time::Instant;

use crate::{options::Timing, quorum::tally::Verdict};

/// The validity of a lock: it can be prolonged up to a limit, and cut short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Period {
    until: Instant,
    /// The end of the maximum hold time, if there is one.
    limit: Option<Instant>,
}

/// The effect of an extension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Extended {
    /// The lock is held for longer.
    Prolonged,
    /// The majority came too late: the validity was over.
    TooLate,
    /// Too many nodes no longer keep the key: the others are not a majority.
    Refused,
    /// Too few nodes have answered. The validity is as it was.
    Unclear,
}

impl Period {
    /// A period that has not begun, of a lease that starts at `start`.
    pub(crate) fn new(start: Instant, timing: &Timing) -> Self {
        let limit = timing.max_hold.and_then(|limit| start.checked_add(limit));
        Self {
            until: start,
            limit,
        }
    }

    /// The end of the validity.
    pub(crate) const fn until(&self) -> Instant {
        self.until
    }

    /// Whether the holder may believe at `now` that it holds the lock.
    pub(crate) fn is_valid(&self, now: Instant) -> bool {
        now < self.until
    }

    /// The same instant, or the limit if that is earlier.
    pub(super) fn capped(&self, until: Instant) -> Instant {
        self.limit.map_or(until, |limit| until.min(limit))
    }

    pub(super) fn is_at_its_limit(&self) -> bool {
        self.limit == Some(self.until)
    }

    pub(crate) fn begin(&mut self, until: Instant) {
        self.until = self.capped(until);
    }

    /// Takes the verdict of an extension, which a majority that granted makes valid up to `until`.
    pub(crate) fn extended(&mut self, verdict: Verdict, now: Instant, until: Instant) -> Extended {
        match verdict {
            Verdict::Granted if self.prolong(now, until) => Extended::Prolonged,
            Verdict::Granted => Extended::TooLate,
            Verdict::Refused => Extended::Refused,
            Verdict::Divided | Verdict::Unavailable => Extended::Unclear,
        }
    }

    /// Prolongs the validity, unless it is over: a lost lock stays lost. Returns whether it was
    /// still valid.
    fn prolong(&mut self, now: Instant, until: Instant) -> bool {
        let is_valid = self.is_valid(now);
        if is_valid {
            self.until = self.capped(until).max(self.until);
        }
        is_valid
    }

    /// Ends the validity at `now`. Returns whether it was still valid.
    pub(crate) fn cut_short(&mut self, now: Instant) -> bool {
        let was_valid = self.is_valid(now);
        self.until = now.min(self.until);
        was_valid
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn period(start: Instant, max_hold: Option<Duration>) -> Period {
        let mut timing = Timing::default();
        timing.max_hold = max_hold;
        Period::new(start, &timing)
    }

    #[test]
    fn a_period_that_is_over_is_not_prolonged() {
        let start = Instant::now();
        let mut period = period(start, None);
        period.begin(start + SECOND);
        assert!(period.prolong(start, start + 2 * SECOND));
        assert!(!period.prolong(start + 2 * SECOND, start + 9 * SECOND));
        assert_eq!(period.until(), start + 2 * SECOND);
    }

    #[test]
    fn only_a_majority_prolongs_a_period() {
        let start = Instant::now();
        for (verdict, extended) in [
            (Verdict::Refused, Extended::Refused),
            (Verdict::Divided, Extended::Unclear),
            (Verdict::Unavailable, Extended::Unclear),
        ] {
            let mut period = period(start, None);
            period.begin(start + SECOND);
            let later = start + 2 * SECOND;
            assert_eq!(period.extended(verdict, start, later), extended);
            assert_eq!(period.until(), start + SECOND);
        }
    }

    #[test]
    fn an_extension_never_shortens_a_period() {
        let start = Instant::now();
        let mut period = period(start, None);
        period.begin(start + 2 * SECOND);
        assert!(period.prolong(start, start + SECOND));
        assert_eq!(period.until(), start + 2 * SECOND);
    }

    #[test]
    fn a_period_ends_with_the_maximum_hold_time() {
        let start = Instant::now();
        let mut period = period(start, Some(3 * SECOND));
        period.begin(start + SECOND);
        assert!(!period.is_at_its_limit());
        assert!(period.prolong(start, start + 9 * SECOND));
        assert_eq!(period.until(), start + 3 * SECOND);
        assert!(period.is_at_its_limit());
    }

    #[test]
    fn a_period_that_was_cut_short_is_over() {
        let start = Instant::now();
        let mut period = period(start, None);
        period.begin(start + SECOND);
        assert!(period.cut_short(start));
        assert!(!period.cut_short(start));
        assert!(!period.prolong(start, start + SECOND));
    }
}
