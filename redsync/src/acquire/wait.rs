//! Waiting for a name that is taken: the [states](state), and the I/O that they ask for.

mod state;

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use tokio::time::{Instant, Sleep, sleep_until};

use self::state::{Action, Event, Failed, Waiting};
use super::{
    attempt::{Attempt, Failure, Reason},
    limit::Limit,
    watch::{Watch, Watched},
};
use crate::{
    Guard, LockError,
    common::Common,
    hand_over::{Holding, Recipient},
    queue::{
        Notice, Standing, Ticket,
        fairness::{Sign, blind_stay, pauses_after_division},
    },
    request::Request,
};

/// Waits for the lock in the queues of its names, after a first attempt that failed, or because
/// there is a queue already.
///
/// # Cancel safety
///
/// If it is dropped, it leaves the queues. A lock that it has acquired, or that was handed over to
/// it, goes to the next waiter or is released. If it has not acted on a notice, the waiters behind
/// it are notified.
pub(crate) async fn wait(
    request: Request,
    common: Arc<Common>,
    limit: Limit,
    first: Option<Failure>,
) -> Result<Guard, LockError> {
    let recipient = Recipient::join(request, common)?;
    let mut waiter = Waiter::new(&recipient, limit);
    let mut action = if let Some(failure) = first {
        waiter.failed(failure)?
    } else {
        // If it is at the head already, the others have left in the meantime, and no notice will
        // come.
        let may_act = waiter.standing().may_act;
        waiter.on(Event::Joined { may_act })
    };
    let mut timer = pin!(sleep_until(waiter.state.due()));
    loop {
        if action == Action::Attempt {
            match waiter.attempt().await? {
                Attempted::Locked(guard) => return Ok(guard),
                Attempted::Failed(next) => action = next,
            }
            continue;
        }
        if timer.deadline() != waiter.state.due() {
            timer.as_mut().reset(waiter.state.due());
        }
        action = match waiter.signal(timer.as_mut()).await {
            Signal::Notified => match recipient.ticket().take_notice() {
                Some(Notice::HandedOver(lease)) => {
                    let holding = Holding::new(lease, Arc::clone(recipient.common()));
                    if holding.lease().is_worth_having() {
                        return Ok(Guard::new(holding));
                    }
                    waiter.came_too_late(holding)
                }
                Some(notice) => waiter.notified(&notice),
                None => Action::Wait,
            },
            Signal::Watched(watched) => waiter.watched(watched),
            Signal::Timer => {
                let Standing {
                    may_act, outages, ..
                } = waiter.standing();
                waiter.on(Event::Timer { may_act, outages })
            }
        };
    }
}

/// A waiter, with its state and its watch of the nodes.
struct Waiter<'a> {
    recipient: &'a Recipient,
    limit: Limit,
    state: Waiting,
    /// There is one only while the waiter is in the state `Watching`.
    watch: Option<Watch>,
}

/// An event that wakes a waiter.
enum Signal {
    Notified,
    Watched(Watched),
    Timer,
}

enum Attempted {
    Locked(Guard),
    Failed(Action),
}

impl<'a> Waiter<'a> {
    fn new(recipient: &'a Recipient, limit: Limit) -> Self {
        let options = &recipient.ticket().request().options;
        Self {
            state: Waiting::new(limit, options, Instant::now()),
            recipient,
            limit,
            watch: None,
        }
    }

    const fn ticket(&self) -> &'a Ticket {
        self.recipient.ticket()
    }

    fn standing(&self) -> Standing {
        self.ticket().standing()
    }

    /// Waits for the first signal. If several are ready, a notice comes before the end of a watch,
    /// and the timer comes last.
    ///
    /// # Cancel safety
    ///
    /// No signal is lost if the future is dropped.
    async fn signal(&mut self, mut timer: Pin<&mut Sleep>) -> Signal {
        let mut notified = pin!(self.ticket().notified());
        let watch = &mut self.watch;
        poll_fn(|cx| {
            if notified.as_mut().poll(cx).is_ready() {
                return Poll::Ready(Signal::Notified);
            }
            if let Some(Poll::Ready(watched)) = watch.as_mut().map(|watch| watch.poll(cx)) {
                return Poll::Ready(Signal::Watched(watched));
            }
            timer.as_mut().poll(cx).map(|()| Signal::Timer)
        })
        .await
    }

    fn on(&mut self, event: Event) -> Action {
        self.on_own(event, &[])
    }

    /// Goes to the next state. The nodes marked as `own` hold nothing but a key that is about to be
    /// released, and need no watch.
    fn on_own(&mut self, event: Event, own: &[bool]) -> Action {
        let request = self.ticket().request();
        let action = self.state.on(event, &request.options, Instant::now());
        if action == Action::Watch {
            let nodes = &self.recipient.common().nodes;
            self.watch = Some(Watch::start(nodes, &request.names, own));
        } else if !self.state.is_watching() {
            self.watch = None;
        }
        action
    }

    fn notified(&mut self, notice: &Notice) -> Action {
        let standing = self.standing();
        match notice {
            Notice::Share => self.on(Event::Shared),
            // By now, another waiter may be the one that acts, or a holder may have the name.
            _ if !standing.may_act => Action::Wait,
            _ => self.on(Event::Notified {
                stay_back: self.ticket().stay_back(),
                can_watch: !standing.is_behind_shared,
            }),
        }
    }

    fn watched(&mut self, watched: Watched) -> Action {
        let ticket = self.ticket();
        let has_changed = match watched {
            Watched::Free { has_changed } => has_changed,
            Watched::Blind => {
                let stay = blind_stay(ticket.request().options.hand_over_time());
                return self.on(Event::Blind { stay });
            }
        };
        if let Some(sign) = self.state.sign(has_changed, Instant::now()) {
            ticket.note(sign);
        }
        self.on(Event::Free {
            has_changed,
            checks: if has_changed {
                ticket.changed_hands()
            } else {
                0
            },
            pauses: pauses_after_division(),
            may_act: ticket.standing().may_act,
        })
    }

    /// Makes an attempt. If it fails, a lock that was handed over to this waiter in the meantime is
    /// used instead.
    async fn attempt(&mut self) -> Result<Attempted, LockError> {
        let attempt = Attempt::start(self.ticket().request(), self.recipient.common())?;
        let failure = match attempt.await {
            Ok(guard) => {
                self.ticket().leave_with(guard.lease());
                return Ok(Attempted::Locked(guard));
            }
            Err(failure) => failure,
        };
        match self.recipient.take() {
            Some(holding) if holding.lease().is_worth_having() => {
                return Ok(Attempted::Locked(Guard::new(holding)));
            }
            Some(holding) => {
                self.came_too_late(holding);
            }
            None => {
                let standing = self.standing();
                let may_be_held_here = standing.is_held_here || standing.is_behind_shared;
                if failure.reason == Reason::Taken && !may_be_held_here {
                    self.ticket().note(Sign::Held);
                }
            }
        }
        self.failed(failure).map(Attempted::Failed)
    }

    /// Rejects a lock that was handed over with too little validity left. The waiter joins its
    /// queues again before it releases the lock, so that it is notified of the release.
    fn came_too_late(&self, holding: Holding) -> Action {
        self.ticket().rejoin();
        drop(holding);
        Action::Wait
    }

    /// Returns what to do after a failed attempt, or the error if it was the last.
    fn failed(&mut self, failure: Failure) -> Result<Action, LockError> {
        let event = Event::Failed(Failed {
            is_taken: failure.reason == Reason::Taken,
            divided: failure.own.contains(&true),
            free_in: failure.votes.free_in(),
            may_act: self.standing().may_act,
        });
        let action = self.on_own(event, &failure.own);
        self.ticket().report_outages(self.state.outages());
        if action == Action::GiveUp {
            return Err(failure.into_error(self.limit));
        }
        Ok(action)
    }
}
