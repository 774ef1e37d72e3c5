//! The future of a round: it waits for the verdict of the nodes.

use std::{
    future::Future,
    mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use futures_util::future::{FutureExt, join_all};
use pin_project_lite::pin_project;
use tokio::{
    runtime::{Handle, Id},
    time::{Instant, Sleep, sleep_until},
};

use super::round::Round;
use crate::{
    node::Answering,
    quorum::{cast::RoundVotes, tally::Verdict},
};

pin_project! {
    /// A round whose verdict is pending. It resolves when the verdict is clear, or when the time
    /// limit has passed.
    ///
    /// # Cancel safety
    ///
    /// When it resolves or is dropped, the background waits for the nodes that have not answered. A
    /// command that was sent cannot be taken back, and its effect has to be known before anything
    /// else is sent to that node.
    #[must_use = "futures do nothing unless polled"]
    pub(crate) struct Pending {
        round: Arc<Round>,
        // For nodes that do not count answers themselves. There are few of them: polling all of
        // them each time is cheaper than tracking which one has woken the task.
        answering: Vec<Answering>,
        #[pin]
        limit: TimeLimit,
        // The runtime on which nodes that do not count answers themselves were asked.
        asked_on: Option<Id>,
        has_ended: bool,
    }

    impl PinnedDrop for Pending {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !*this.has_ended {
                leave_behind(this.round, this.answering, *this.asked_on);
            }
        }
    }
}

pin_project! {
    /// The time up to which answers count.
    struct TimeLimit {
        deadline: Instant,
        // Whether the deadline is the end of the validity, which may be prolonged meanwhile.
        while_valid: bool,
        // Made when this is first polled: there may be no runtime when a release begins in a drop.
        #[pin]
        sleep: Option<Sleep>,
    }
}

impl Pending {
    /// Waits for the answers that arrive before a deadline.
    pub(super) const fn new(
        round: Arc<Round>,
        answering: Vec<Answering>,
        deadline: Instant,
    ) -> Self {
        Self {
            round,
            answering,
            limit: TimeLimit {
                deadline,
                while_valid: false,
                sleep: None,
            },
            asked_on: None,
            has_ended: false,
        }
    }

    /// Waits for the answers that arrive within the validity of the lease, however it is prolonged
    /// meanwhile.
    pub(super) const fn while_valid(mut self) -> Self {
        self.limit.while_valid = true;
        self
    }

    /// Takes the votes, after the verdict. Only the first call returns them.
    pub(crate) fn take_votes(&self) -> RoundVotes {
        self.round.count().take_votes()
    }
}

/// Moves the waiting for outstanding answers to the background.
///
/// A release that has begun on another runtime than the present one may never end, because timers
/// and connections belong to their runtimes. It is dropped, and so begins again.
fn leave_behind(round: &Arc<Round>, answering: &mut Vec<Answering>, asked_on: Option<Id>) {
    round.abandon();
    if answering.is_empty() {
        return;
    }
    let answering = mem::take(answering);
    let answering = join_all(answering).map(drop);
    if asked_on.is_none() {
        round.drive(answering);
    } else if asked_on == current() || !round.is_release() {
        round.drive_on(answering);
    }
}

fn current() -> Option<Id> {
    Handle::try_current().ok().map(|runtime| runtime.id())
}

impl TimeLimit {
    /// Resolves when the time is over. `until` returns the end of the validity.
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>, until: impl Fn() -> Instant) -> Poll<()> {
        let mut this = self.project();
        if this.sleep.is_none() {
            this.sleep.set(Some(sleep_until(*this.deadline)));
        }
        let mut sleep = this.sleep.as_pin_mut().expect("just set");
        loop {
            ready!(sleep.as_mut().poll(cx));
            let until = until();
            if !*this.while_valid || until <= *this.deadline {
                return Poll::Ready(());
            }
            *this.deadline = until;
            sleep.as_mut().reset(until);
        }
    }
}

impl Future for Pending {
    type Output = Verdict;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        let this = self.project();
        if this.asked_on.is_none() && !this.answering.is_empty() {
            *this.asked_on = current();
        }
        this.answering
            .retain_mut(|answering| answering.as_mut().poll(cx).is_pending());
        let verdict = match this.round.count().poll_verdict(cx) {
            Poll::Ready(verdict) => verdict,
            Poll::Pending => {
                ready!(this.limit.poll(cx, || this.round.until()));
                this.round.count().end()
            }
        };
        // Now, and not when this is dropped, because a future that has resolved may be kept for a
        // long time.
        *this.has_ended = true;
        this.round.note_verdict(verdict);
        leave_behind(this.round, this.answering, *this.asked_on);
        Poll::Ready(verdict)
    }
}
