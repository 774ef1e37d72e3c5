//! The succession of holders in this process that hold the same keys, one after the other: the keys
//! are handed over from lease to lease.

use std::{sync::atomic::Ordering, time::Duration};

use tokio::time::Instant;

use super::{hold::Period, purpose::Purpose};
use crate::{FencingToken, Mode, fence::STRIDE, request::Request, sync::AtomicBool};

/// The place of a lease in the succession.
pub(crate) struct Succession {
    /// When the first holder was about to send its first command.
    origin: Instant,
    /// When this lease started.
    started_at: Instant,
    /// How many times the keys were handed over.
    hand_overs: u32,
    /// Whether others may know the owner value. They could release the lock with it.
    is_exposed: AtomicBool,
}

impl Succession {
    /// Makes the first place of a succession.
    pub(crate) const fn new(now: Instant) -> Self {
        Self {
            origin: now,
            started_at: now,
            hand_overs: 0,
            is_exposed: AtomicBool::new(false),
        }
    }

    /// Makes the only place: others may know the owner value, so nothing is handed over.
    pub(super) const fn exposed(now: Instant) -> Self {
        Self {
            is_exposed: AtomicBool::new(true),
            ..Self::new(now)
        }
    }

    /// Makes the place after this one.
    const fn next(&self, now: Instant) -> Self {
        Self {
            origin: self.origin,
            hand_overs: self.hand_overs + 1,
            ..Self::new(now)
        }
    }

    pub(crate) const fn started_at(&self) -> Instant {
        self.started_at
    }

    /// Notes that others may know the owner value.
    pub(super) fn expose(&self) {
        // Relaxed: the flag is read when the same guard is released or dropped, which comes after
        // this.
        self.is_exposed.store(true, Ordering::Relaxed);
    }

    fn is_exposed(&self) -> bool {
        // Relaxed: see `expose`.
        self.is_exposed.load(Ordering::Relaxed)
    }
}

/// A lock that is held, as far as its next holder depends on it.
pub(crate) struct Held<'a> {
    pub(crate) purpose: &'a Purpose,
    pub(crate) succession: &'a Succession,
    pub(crate) token: Option<FencingToken>,
    pub(crate) until: Instant,
}

/// What the next holder gets.
pub(crate) struct Inherited {
    pub(crate) purpose: Purpose,
    pub(crate) succession: Succession,
    pub(crate) token: Option<FencingToken>,
    pub(crate) period: Period,
}

/// Pure: it has no clock of its own. So the model checker drives it as it is.
impl Held<'_> {
    /// Hands the keys over to the holder of another request at `now`. Returns [`None`] if this is not
    /// allowed, for instance later than `time` after they were acquired.
    pub(crate) fn hand_over(
        &self,
        request: &Request,
        time: Duration,
        now: Instant,
    ) -> Option<Inherited> {
        if now >= self.until || !self.may_be_handed_over(request, time, now) {
            return None;
        }
        let purpose = self.purpose.succeeded_by(request);
        let timing = &purpose.options.timing;
        let mut period = Period::new(now, timing);
        period.begin(self.until);
        timing.is_enough(now, period.until()).then(|| Inherited {
            succession: self.succession.next(now),
            token: self.token.map(FencingToken::next),
            period,
            purpose,
        })
    }

    /// Whether keys that are still valid may be handed over.
    fn may_be_handed_over(&self, request: &Request, time: Duration, now: Instant) -> bool {
        let (succession, entry) = (self.succession, &self.purpose.entry);
        let (own, options) = (&self.purpose.options, &request.options);
        let is_same = request.has_permit(&entry.names)
            && entry.mode == options.kind.mode
            && entry.fenced == options.kind.fencing
            && entry.expiry == options.timing.expiry()
            // The validity is not computed again, so the new drift must not be larger.
            && options.timing.drift_factor <= own.timing.drift_factor;
        // If the holder's and the next waiter's limits differ, the smaller applies.
        let hand_overs = (options.queueing.hand_overs).min(own.queueing.hand_overs);
        let next = succession.hand_overs + 1;
        let has_tokens = !entry.fenced || u64::from(next) < STRIDE;
        // The keys stay up to the end of the minimum, and might not for that of the next holder.
        let has_minimum = !own.timing.min_hold.is_zero() || !options.timing.min_hold.is_zero();
        let is_in_time = now < succession.origin + time.min(own.hand_over_time());
        is_same
            && next <= hand_overs
            && has_tokens
            && is_in_time
            && !has_minimum
            && entry.mode == Mode::Exclusive
            && !succession.is_exposed()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::options::Options;

    const TIME: Duration = Duration::from_millis(10);

    fn request(name: &str, change: impl FnOnce(&mut Options)) -> Request {
        let mut options = Options::default();
        change(&mut options);
        Request::new(&[name.into()].into(), &Arc::new(options)).unwrap()
    }

    /// Whether the lock of one request may be handed over to another, from a place in the
    /// succession.
    fn may_follow(succession: &Succession, holder: &Request, next: &Request, now: Instant) -> bool {
        let held = Held {
            purpose: &Purpose::new(holder, 0, 1, "value".into(), false),
            succession,
            token: None,
            until: now + holder.options.timing.expiry(),
        };
        held.hand_over(next, TIME, now).is_some()
    }

    #[test]
    fn a_lock_is_handed_over_only_to_a_waiter_that_wants_exactly_this() {
        let now = Instant::now();
        let first = Succession::new(now);
        let to = |next: Request| may_follow(&first, &request("a", |_| {}), &next, now);
        assert!(to(request("a", |_| {})));
        assert!(!to(request("b", |_| {})));
        assert!(!to(request("a", |it| it.kind.mode = Mode::Shared)));
        assert!(!to(request("a", |it| it.kind.fencing = true)));
        assert!(!to(request("a", |it| it
            .timing
            .set_expiry(it.timing.expiry() * 2))));
        assert!(!to(request("a", |it| it.timing.drift_factor *= 2.0)));
        assert!(to(request("a", |it| it.timing.drift_factor /= 2.0)));
    }

    #[test]
    fn a_shared_lock_is_not_handed_over() {
        let now = Instant::now();
        let shared = || request("a", |it| it.kind.mode = Mode::Shared);
        assert!(!may_follow(
            &Succession::new(now),
            &shared(),
            &shared(),
            now
        ));
    }

    #[test]
    fn a_lock_with_a_minimum_hold_is_not_handed_over_nor_one_to_a_waiter_with_a_minimum() {
        let now = Instant::now();
        let (plain, minimum) = (
            || request("a", |_| {}),
            || request("a", |it| it.timing.min_hold = TIME),
        );
        let hands_over = |holder, next| may_follow(&Succession::new(now), &holder, &next, now);
        assert!(hands_over(plain(), plain()));
        assert!(!hands_over(minimum(), plain()));
        assert!(!hands_over(plain(), minimum()));
        assert!(!hands_over(minimum(), minimum()));
    }

    #[test]
    fn hand_overs_end_with_the_time_since_the_first_acquisition() {
        let origin = Instant::now();
        let second = Succession::new(origin).next(origin + TIME / 2);
        let at = |now| {
            let request = || request("a", |_| {});
            may_follow(&second, &request(), &request(), now)
        };
        assert!(at(origin + TIME - Duration::from_nanos(1)));
        assert!(!at(origin + TIME));
    }

    #[test]
    fn of_two_limits_of_hand_overs_the_smaller_applies() {
        let now = Instant::now();
        let limited = |limit| request("a", |it| it.queueing.hand_overs = limit);
        let (first, second) = (Succession::new(now), Succession::new(now).next(now));
        assert!(may_follow(&first, &limited(1), &limited(9), now));
        assert!(may_follow(&first, &limited(9), &limited(1), now));
        assert!(!may_follow(&second, &limited(1), &limited(9), now));
        assert!(!may_follow(&second, &limited(9), &limited(1), now));
    }

    #[test]
    fn a_fenced_lock_is_handed_over_while_its_stride_has_tokens() {
        let now = Instant::now();
        let fenced = || request("a", |it| it.kind.fencing = true);
        let after = |hand_overs| Succession {
            hand_overs,
            ..Succession::new(now)
        };
        let last = u32::try_from(STRIDE).unwrap() - 1;
        assert!(may_follow(&after(last - 1), &fenced(), &fenced(), now));
        assert!(!may_follow(&after(last), &fenced(), &fenced(), now));
    }

    #[test]
    fn a_lock_whose_value_others_may_know_is_not_handed_over() {
        let now = Instant::now();
        let request = || request("a", |_| {});
        assert!(!may_follow(
            &Succession::exposed(now),
            &request(),
            &request(),
            now
        ));
    }
}
