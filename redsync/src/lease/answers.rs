//! The answers of all nodes to one command: what its caller waits for.

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

use super::command::Command;
use crate::{
    node::Answering,
    quorum::{round::Ballot, tally::Verdict},
};

pin_project! {
    /// A future that is ready as soon as the verdict is clear or the time limit is over.
    ///
    /// # Cancel safety
    ///
    /// Whether it is finished or dropped, what has not been answered goes on in the background: a
    /// command that was sent cannot be taken back, and what it did has to be known before anything
    /// else is sent to that node.
    #[must_use = "futures do nothing unless polled"]
    pub(crate) struct Answers {
        command: Arc<Command>,
        // Of nodes that do not count answers themselves. They are few: polling all of them at each
        // wake-up is cheaper than to know which one it is about.
        answering: Vec<Answering>,
        deadline: Instant,
        // Made when an answer is first waited for: in a drop there may be no runtime.
        #[pin]
        limit: Option<Sleep>,
        has_ended: bool,
    }

    impl PinnedDrop for Answers {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if !*this.has_ended {
                leave_behind(this.command, this.answering);
            }
        }
    }
}

impl Answers {
    /// The answers to a command, as far as they come before a deadline.
    pub(super) const fn new(
        command: Arc<Command>,
        answering: Vec<Answering>,
        deadline: Instant,
    ) -> Self {
        Self {
            command,
            answering,
            deadline,
            limit: None,
            has_ended: false,
        }
    }

    /// The votes, after the verdict. They are given once.
    pub(crate) fn take_votes(&self) -> Ballot {
        self.command.round().take_votes()
    }
}

/// Leaves what has not been answered to the background.
fn leave_behind(command: &Arc<Command>, answering: &mut Vec<Answering>) {
    command.abandon();
    if !answering.is_empty() {
        let work = join_all(mem::take(answering)).map(drop);
        (command.lease()).in_background(command.give_up_at(), work);
    }
}

impl Future for Answers {
    type Output = Verdict;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Verdict> {
        let mut this = self.project();
        this.answering
            .retain_mut(|answering| answering.as_mut().poll(cx).is_pending());
        let verdict = match this.command.round().poll_verdict(cx) {
            Poll::Ready(verdict) => verdict,
            Poll::Pending => {
                if this.limit.is_none() {
                    this.limit.set(Some(sleep_until(*this.deadline)));
                }
                let limit = this.limit.as_mut().as_pin_mut().expect("just set");
                ready!(limit.poll(cx));
                this.command.round().end()
            }
        };
        // Now, not when this is dropped: a future that is ready may be kept for long.
        *this.has_ended = true;
        leave_behind(this.command, this.answering);
        Poll::Ready(verdict)
    }
}
