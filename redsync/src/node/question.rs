//! Questions to nodes, and the path of the answers back.
//!
//! A lock asks every node for the same operation. A [`Question`] carries it to one node, and the
//! answer goes back to the [`Asker`]. A node that sends the questions of many locks together
//! [takes](super::Node::take) the question into a list. The task that reads the reply counts the
//! answer, and nothing is allocated for it. For any other node, a future calls its methods, and has
//! to be driven until the answer has arrived.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{AcquireVote, Entry, ExtendVote, NodeError, RaiseVote, ReleaseVote};
use crate::FencingToken;

/// An operation that a node is asked to carry out on an [`Entry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    Acquire,
    /// Raise the counters to the asker's token.
    Raise,
    Extend,
    /// Extend, and set missing keys.
    Heal,
    Release,
}

impl Operation {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Acquire => "acquire",
            Self::Raise => "raise",
            Self::Extend | Self::Heal => "extend",
            Self::Release => "release",
        }
    }
}

/// A node's answer to an operation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    Acquire(AcquireVote),
    Raise(RaiseVote),
    Extend(ExtendVote),
    Release(ReleaseVote),
}

/// The side that asks: it has the contents of the questions, and counts the answers.
pub(crate) trait Asker: Send + Sync {
    fn entry(&self) -> &Entry;

    /// The token that counters are raised to, if there is one.
    fn token(&self) -> Option<FencingToken>;

    /// For how long a node that releases the names now is to keep them.
    fn kept_after_release(&self) -> Duration;

    /// How long to wait for the answer to a question that is sent at `now`. Up to then the node may
    /// still carry the operation out.
    fn patience(&self, now: Instant) -> Duration;

    /// Whether the question is still worth sending. Asked immediately before it is sent, at `now`.
    fn may_ask(&self, operation: Operation, now: Instant) -> Result<(), NodeError>;

    /// Takes the answer of one node. There is exactly one for each question.
    fn answered(self: Arc<Self>, node: usize, operation: Operation, answer: NodeAnswer);

    /// Takes a preliminary answer: the node is asked for more, and if nothing more arrives in time,
    /// this is its answer.
    fn expect(&self, node: usize, answer: Answer);

    /// Learns that the question was dropped unanswered, because its time was over, its runtime has
    /// ended, or its connection was replaced. The node may have carried the operation out, or may
    /// do so later.
    fn unanswered(self: Arc<Self>, node: usize, operation: Operation);

    /// Learns that the question is asked again, although the node may have carried the operation
    /// out.
    fn is_asked_again(&self, node: usize, operation: Operation);

    /// Learns that the question has certainly not been sent, because the connection had ended. It
    /// may be sent over a new connection.
    fn unsent(self: Arc<Self>, node: usize, operation: Operation, error: NodeError);
}

pub(crate) type NodeAnswer = Result<Answer, NodeError>;

/// One operation on one node, until it is answered.
///
/// If it is dropped without an answer, the asker learns that nobody waits for the answer any
/// longer: the node may have carried the operation out.
#[doc(hidden)]
pub struct Question {
    // None once the question is answered.
    asker: Option<Arc<dyn Asker>>,
    node: u32,
    operation: Operation,
    is_retried: bool,
}

impl Question {
    pub(crate) fn new(asker: Arc<dyn Asker>, node: usize, operation: Operation) -> Self {
        Self {
            asker: Some(asker),
            node: node as u32,
            operation,
            is_retried: false,
        }
    }

    fn asker(&self) -> &Arc<dyn Asker> {
        self.asker
            .as_ref()
            .expect("a question has its asker until it is answered")
    }

    pub(crate) fn entry(&self) -> &Entry {
        self.asker().entry()
    }

    pub(crate) fn token(&self) -> Option<FencingToken> {
        self.asker().token()
    }

    /// For how long a node that releases the names now is to keep them. Zero for other operations.
    pub(crate) fn kept_after_release(&self) -> Duration {
        match self.operation {
            Operation::Release => self.asker().kept_after_release(),
            _ => Duration::ZERO,
        }
    }

    pub(crate) const fn operation(&self) -> Operation {
        self.operation
    }

    pub(crate) const fn is_retried(&self) -> bool {
        self.is_retried
    }

    /// Whether to send the question at `now`. If not, it has been answered.
    pub(crate) fn may_be_sent(&mut self, now: Instant) -> bool {
        match self.asker().may_ask(self.operation, now) {
            Ok(()) => true,
            Err(error) => {
                self.settle(Err(error));
                false
            }
        }
    }

    pub(crate) fn answer(mut self, answer: NodeAnswer) {
        self.settle(answer);
    }

    fn settle(&mut self, answer: NodeAnswer) {
        if let Some(asker) = self.asker.take() {
            asker.answered(self.node as usize, self.operation, answer);
        }
    }
}

/// For questions that are sent together.
#[cfg_attr(
    not(feature = "_redis"),
    expect(
        dead_code,
        reason = "only the connections of redis-rs send questions together"
    )
)]
impl Question {
    /// Marks the question as asked again: if it cannot be sent this time, that is its answer.
    pub(crate) fn retried(mut self) -> Self {
        self.is_retried = true;
        self
    }

    pub(crate) fn patience(&self, now: Instant) -> Duration {
        self.asker().patience(now)
    }

    /// Gives a preliminary answer, which stands if nothing more arrives in time.
    pub(crate) fn expect(&self, answer: Answer) {
        self.asker().expect(self.node as usize, answer);
    }

    /// Reports that the question is asked again, although the node may have carried the operation
    /// out.
    pub(crate) fn is_asked_again(&self) {
        self.asker()
            .is_asked_again(self.node as usize, self.operation);
    }

    /// Reports that the question has certainly not been sent, and may be sent over another
    /// connection.
    pub(crate) fn unsent(mut self, error: NodeError) {
        if let Some(asker) = self.asker.take() {
            asker.unsent(self.node as usize, self.operation, error);
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if let Some(asker) = self.asker.take() {
            asker.unanswered(self.node as usize, self.operation);
        }
    }
}

impl fmt::Debug for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Question")
            .field("node", &self.node)
            .field("operation", &self.operation)
            .finish_non_exhaustive()
    }
}
