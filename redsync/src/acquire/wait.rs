//! Waiting for a name that is taken.

use std::{
    future::{Future, poll_fn},
    mem,
    ops::Deref,
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    attempt::{Attempt, Failure, Reason},
    retry::Limit,
    watch::{Sight, Watch},
};
use crate::{
    Guard, LockError,
    lease::Lease,
    queue::{Ticket, hand_over::Holding},
    request::Request,
    shared::Shared,
};

/// What takes no longer is not another's hold of a name.
const A_MOMENT: Duration = Duration::from_millis(1);

/// What part of a turn a process stays back for, where it cannot see whether others come.
const BLIND_PART: u32 = 4;

/// The shortest pause of those who have nothing to try: else time could not pass meanwhile.
const IDLE: Duration = Duration::from_millis(1);

/// A time without an end, as far as a clock can tell.
const EVER: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// After so many tries in vain, who is woken looks before it tries: a try can be a change, too, and those
/// who wait would wake each other.
const WARY: u32 = 5;

/// What is added to the time for which nodes keep a name: they drop it in the millisecond after.
const EXPIRED: Duration = Duration::from_millis(2);

/// The shortest time after which a name is looked at for its expiry again.
const SHORTEST: Duration = Duration::from_millis(10);

/// Waits for the lock in line, after a first try that failed, or because there is a line already.
///
/// # Cancel safety
///
/// Dropped, it gives up its place, and what it was handed or had acquired goes on to the next, or is
/// released.
pub(crate) async fn wait(
    request: Request,
    shared: Arc<Shared>,
    limit: Limit,
    first: Option<Failure>,
) -> Result<Guard, LockError> {
    let place = Place {
        ticket: shared.queues.join(request)?,
        shared: Arc::clone(&shared),
    };
    let mut waiting = Waiting::new(&place, limit);
    match first {
        Some(failure) => waiting.failed(failure)?,
        // The others have left meanwhile, and rang for nobody.
        None if waiting.may_try() => waiting.look(&[]),
        None => {}
    }
    let mut alarm = pin!(sleep_until(waiting.alarm()));
    loop {
        if alarm.deadline() != waiting.alarm() {
            alarm.as_mut().reset(waiting.alarm());
        }
        let tries = match waiting.event(alarm.as_mut()).await {
            Event::Rung => match place.take() {
                Some(holding) if holding.lease().is_worth_having() => {
                    return Ok(Guard::new(holding));
                }
                Some(holding) => {
                    place.back_to_head();
                    drop(holding);
                    false
                }
                None => {
                    waiting.rung();
                    false
                }
            },
            Event::Saw(sight) => waiting.saw(sight),
            Event::Alarm => waiting.is_time_to_try(),
        };
        if !tries {
            continue;
        }
        match Attempt::start(place.request(), &shared)?.await {
            Ok(guard) => {
                place.leave_with(guard.lease());
                return Ok(guard);
            }
            Err(failure) => match place.take() {
                // Passed on here while others were asked.
                Some(holding) if holding.lease().is_worth_having() => {
                    return Ok(Guard::new(holding));
                }
                passed => {
                    if passed.is_some() {
                        place.back_to_head();
                    } else if failure.reason == Reason::Taken && !place.is_held_here() {
                        place.saw_rival();
                    }
                    drop(passed);
                    waiting.failed(failure)?;
                }
            },
        }
    }
}

/// The instant after a pause, which somebody else may have chosen.
fn after(now: Instant, pause: Duration) -> Instant {
    now + pause.min(EVER)
}

struct Place {
    ticket: Ticket,
    shared: Arc<Shared>,
}

impl Deref for Place {
    type Target = Ticket;

    fn deref(&self) -> &Ticket {
        &self.ticket
    }
}

impl Place {
    fn take(&self) -> Option<Holding> {
        let handed: Option<Arc<Lease>> = self.ticket.take();
        handed.map(|lease| Holding::new(lease, Arc::clone(&self.shared)))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.ticket.give_up(true);
        drop(self.take());
    }
}

/// What one who waits is woken by, the best first.
enum Event {
    Rung,
    Saw(Sight),
    Alarm,
}

/// What one who waits goes by.
struct Waiting<'a> {
    place: &'a Place,
    limit: Limit,
    /// The tries that count, and how many in a row found no quorum of nodes.
    tries: u32,
    outages: u32,
    /// Whether the last one got some of the nodes, and others the rest.
    divided: bool,
    /// When the next try that counts is due.
    poll_at: Instant,
    /// When one is due that does not count.
    sooner: Option<Instant>,
    watch: Option<Watch>,
    watched_since: Instant,
    /// Whether a change was what was seen last.
    woken: bool,
    /// How many tries were made for a change, and in vain.
    woken_in_vain: u32,
    /// How often to look before the next try.
    looks: u32,
    /// For how long it stays back, or did, since that was given up.
    stays_back: Option<Duration>,
    /// The name was released here, and nobody was seen with it since.
    released_here: bool,
}

impl<'a> Waiting<'a> {
    fn new(place: &'a Place, limit: Limit) -> Self {
        let now = Instant::now();
        Self {
            poll_at: after(now, limit.pause(&place.request().options.retry, 1, now)),
            place,
            limit,
            tries: 1,
            outages: 0,
            divided: false,
            sooner: Some(now + place.request().options.timing.expiry()),
            watch: None,
            watched_since: now,
            woken: false,
            woken_in_vain: 0,
            looks: 0,
            stays_back: None,
            released_here: false,
        }
    }

    async fn event(&mut self, mut alarm: Pin<&mut Sleep>) -> Event {
        let mut rung = pin!(self.place.rung());
        let watch = &mut self.watch;
        poll_fn(|cx| {
            if rung.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Event::Rung);
            }
            if let Some(Poll::Ready(sight)) = watch.as_mut().map(|watch| watch.poll(cx)) {
                return Poll::Ready(Event::Saw(sight));
            }
            alarm.as_mut().poll(cx).map(|()| Event::Alarm)
        })
        .await
    }

    fn alarm(&self) -> Instant {
        self.sooner
            .map_or(self.poll_at, |sooner| sooner.min(self.poll_at))
    }

    fn is_over(&self, now: Instant) -> bool {
        let retry = &self.place.request().options.retry;
        self.limit.is_over(retry, self.tries, self.outages, now)
    }

    /// Whether a try may find what others do not know.
    fn may_try(&self) -> bool {
        self.place.is_head() && !self.place.is_held_here()
    }

    /// Moved up to the head, or the name was released here.
    fn rung(&mut self) {
        if !self.may_try() {
            return;
        }
        self.released_here = true;
        self.looks = 0;
        self.stays_back = self.place.courtesy();
        if let Some(pause) = self.stays_back {
            // Others have been told as well. Who has had it comes last.
            self.watch = None;
            self.sooner = Some(Instant::now() + pause);
        } else {
            // That others come first if they are there is also why this asks before it tries.
            self.look(&[]);
        }
    }

    fn look(&mut self, own: &[bool]) {
        let request = self.place.request();
        self.watched_since = Instant::now();
        self.watch = Some(Watch::start(&self.place.shared.nodes, &request.names, own));
    }

    /// Whether to try, by what was seen.
    fn saw(&mut self, sight: Sight) -> bool {
        let now = Instant::now();
        match sight {
            Sight::Free { changed } => {
                match self.stays_back.take() {
                    // It was not just the rest of the release in this process.
                    _ if changed && self.released_here && self.watched_since + A_MOMENT < now => {
                        self.place.saw_rival();
                    }
                    Some(pause) if !changed => self.place.nobody_came(pause),
                    _ => {}
                }
                self.looks = if changed {
                    self.place.saw_turn_end()
                } else {
                    self.looks.saturating_sub(1)
                };
                if changed && self.woken_in_vain >= WARY {
                    self.looks = self.looks.max(1);
                }
                self.woken = changed;
                if self.looks > 0 {
                    // Those come first who have waited for more turns.
                    self.look(&[]);
                    return false;
                }
                // Not all of those who have just been in each other's way at once.
                if !self.divided || fastrand::bool() {
                    return self.may_try();
                }
                self.sooner = Some(now + A_MOMENT);
            }
            Sight::Blind if self.released_here => {
                let turn = self.place.request().options.hand_over_time();
                self.sooner = Some(now + (turn / BLIND_PART).mul_f64(fastrand::f64()));
            }
            Sight::Blind => {}
        }
        false
    }

    /// Whether to try, now that it is time to look.
    fn is_time_to_try(&mut self) -> bool {
        let now = Instant::now();
        if now < self.poll_at {
            // Whoever holds the name here may stand still, and tell nobody when it is lost.
            self.sooner = Some(now + self.place.request().options.timing.expiry());
            if self.released_here && self.watch.is_none() {
                self.look(&[]);
                return false;
            }
            return self.may_try();
        }
        self.tries = self.tries.saturating_add(1);
        if self.is_over(now) {
            return true;
        }
        let options = &self.place.request().options.retry;
        let pause = self.limit.pause(options, self.tries, now);
        let least = if self.may_try() { Duration::ZERO } else { IDLE };
        self.poll_at = after(now, pause.max(least));
        self.outages = self.outages.max(self.place.outages());
        // If that is one more try without a quorum of nodes, it is the last.
        let is_last = self.outages > 0 && self.outages + 1 >= options.outage_attempts;
        is_last || self.may_try()
    }

    fn failed(&mut self, failure: Failure) -> Result<(), LockError> {
        let now = Instant::now();
        match failure.reason {
            Reason::Unavailable | Reason::TooLate => self.outages = self.outages.saturating_add(1),
            Reason::Taken => self.outages = 0,
        }
        self.place.report_outages(self.outages);
        if self.is_over(now) {
            return Err(failure.into_error(self.limit));
        }
        self.released_here = false;
        if mem::take(&mut self.woken) {
            self.woken_in_vain = self.woken_in_vain.saturating_add(1);
        }
        self.divided = failure.own.contains(&true);
        self.sooner = None;
        self.watch = None;
        // That names are free is no news if they were not to be had for another reason: nodes that
        // can be read, and not be written, would be tried again without a pause.
        if failure.reason == Reason::Taken {
            let free_in = failure.votes.free_in();
            let free_in = free_in.unwrap_or(self.place.request().options.timing.expiry());
            self.sooner = Some(after(now, free_in.saturating_add(EXPIRED).max(SHORTEST)));
            if self.may_try() {
                self.look(&failure.own);
            }
        }
        Ok(())
    }
}
