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
use tokio::time::{Instant, Sleep, sleep_until};

use super::round::Round;
use crate::{
    node::Answering,
    quorum::{count::RoundVotes, tally::Verdict},
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
        deadline: Instant,
        // Made when this is first polled: there may be no runtime when a release begins in a drop.
        #[pin]
        limit: Option<Sleep>,
        has_ended: bool,
    }

    impl PinnedDrop for Pending {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !*this.has_ended {
                leave_behind(this.round, this.answering);
            }
        }
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
            deadline,
            limit: None,
            has_ended: false,
        }
    }

    /// Takes the votes, after the verdict. Only the first call returns them.
    pub(crate) fn take_votes(&self) -> RoundVotes {
        self.round.count().take_votes()
    }
}

/// Moves the waiting for outstanding answers to the background.
fn leave_behind(round: &Arc<Round>, answering: &mut Vec<Answering>) {
    round.abandon();
    if !answering.is_empty() {
        let work = join_all(mem::take(answering)).map(drop);
        round.drive_on(work);
    }
}

impl Future for Pending {
    type Output = Verdict;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        let mut this = self.project();
        this.answering
            .retain_mut(|answering| answering.as_mut().poll(cx).is_pending());
        let verdict = match this.round.count().poll_verdict(cx) {
            Poll::Ready(verdict) => verdict,
            Poll::Pending => {
                if this.limit.is_none() {
                    this.limit.set(Some(sleep_until(*this.deadline)));
                }
                let limit = this.limit.as_mut().as_pin_mut().expect("just set");
                ready!(limit.poll(cx));
                this.round.count().end()
            }
        };
        // Now, and not when this is dropped, because a future that has resolved may be kept for a
        // long time.
        *this.has_ended = true;
        this.round.note_verdict(verdict);
        leave_behind(this.round, this.answering);
        Poll::Ready(verdict)
    }
}
