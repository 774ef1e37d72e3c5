//! The repeater of a node: it asks for the releases in the [backlog](super::backlog) again.
//!
//! One release at a time tests whether the node works, [ever more rarely](super::pace), and the
//! others wait. When the node has carried one out, they follow in batches, which grow as long as
//! all of a batch succeed. A release that fails moves to the end of the backlog, so one that never
//! succeeds holds up no other.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::{Instant, Timeout, sleep_until, timeout, timeout_at};

use super::{
    Nodes,
    backlog::{Backlog, Waiting},
    pace::Pace,
};
use crate::node::{Answering, Question};

/// How long to wait for the answers to a batch before the next release tests the node. The answers
/// may still come: the node may hang, or the answer to one release be lost.
const PATIENCE: Duration = Duration::from_secs(1);

/// How precisely the pursuit of a release ends.
const PRECISION: Duration = Duration::from_millis(50);

/// Repeats the releases in the backlog of one node, until there are none.
///
/// If it is dropped before that, because its runtime ends, the askers learn that their questions
/// are dropped. They add them again, and the first of them gets a new repeater.
#[must_use = "it repeats nothing unless it runs"]
pub(crate) struct Repeater {
    nodes: Arc<Nodes>,
    node: usize,
    has_ended: bool,
}

/// The answers to releases that were repeated, of a node that does not count answers itself.
type Answers = FuturesUnordered<Timeout<Answering>>;

impl Nodes {
    /// Adds a release to the backlog of a node that has not carried it out. It is repeated up to
    /// the end of its pursuit. If a repeater is returned, it has to run.
    pub(crate) fn repeat(
        self: &Arc<Self>,
        node: usize,
        release: Question,
        until: Instant,
    ) -> Option<Repeater> {
        let needs_repeater = self.backlog(node).add(release, until);
        needs_repeater.then(|| Repeater {
            nodes: Arc::clone(self),
            node,
            has_ended: false,
        })
    }
}

impl Repeater {
    fn backlog(&self) -> &Backlog {
        self.nodes.backlog(self.node)
    }

    pub(crate) async fn run(mut self) {
        let mut pace = Pace::default();
        let mut answers = Answers::new();
        while !(answers.is_empty() && self.ends()) {
            self.wait_until(Instant::now() + pace.pause(), &mut answers)
                .await;
            while let Some(has_succeeded) = self.repeat(pace.batch(), &mut answers).await {
                if !has_succeeded {
                    pace.failed();
                    break;
                }
                pace.succeeded();
            }
        }
    }

    /// Ends if nothing is left to repeat. The next release then gets another repeater.
    fn ends(&mut self) -> bool {
        self.has_ended = self.backlog().ends();
        self.has_ended
    }

    /// Waits until the next test is due, and meanwhile drops the releases whose pursuit ends.
    async fn wait_until(&self, due: Instant, answers: &mut Answers) {
        loop {
            let now = Instant::now();
            let end = self.backlog().drop_over(now);
            if now >= due {
                return;
            }
            let next = end.map_or(due, |end| due.min(end.max(now + PRECISION)));
            driving(answers, sleep_until(next)).await;
        }
    }

    /// Asks the node for the first releases, up to this number. Returns whether all of them have
    /// succeeded, or nothing if there was none.
    async fn repeat(&self, most: usize, answers: &mut Answers) -> Option<bool> {
        let backlog = self.backlog();
        let (before, batch) = (backlog.counts(), backlog.take(most));
        if batch.is_empty() {
            return None;
        }
        let (size, now) = (batch.len(), Instant::now());
        for Waiting { release, until } in batch {
            let answering = self.nodes.ask(self.node, release, now);
            answers.extend(answering.map(|answering| timeout_at(until, answering)));
        }
        let has_succeeded = timeout(PATIENCE, backlog.batch_has_succeeded(size, before));
        Some(driving(answers, has_succeeded).await.unwrap_or(false))
    }
}

/// Waits for a future, and meanwhile drives the answers.
async fn driving<T>(answers: &mut Answers, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    poll_fn(|cx| {
        while let Poll::Ready(Some(_)) = answers.poll_next_unpin(cx) {}
        future.as_mut().poll(cx)
    })
    .await
}

impl Drop for Repeater {
    fn drop(&mut self) {
        if !self.has_ended {
            drop(self.backlog().abandon());
        }
    }
}
