//! The way of a question to a node, and of the answer back.
//!
//! A lock asks every node the same thing. A [`Question`] carries it to one node, and the answer goes
//! back to the [`Asker`]. A node that sends the questions of many locks
//! together [takes](super::Node::take) the question into a list and is done: the
//! task that reads the reply counts the answer, and nothing is allocated for it. The functions of any
//! other node are called in a future, which somebody has to drive to its end.

use std::{fmt, sync::Arc, time::Duration};

use super::{AcquireVote, Entry, ExtendVote, NodeError, RaiseVote, ReleaseVote};
use crate::FencingToken;

/// What a node is asked about an [`Entry`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum Operation {
    Acquire,
    /// Raise the counters to the asker's token.
    Raise,
    Extend,
    /// Extend, and set what is missing.
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

/// A node's answer, to whichever operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[doc(hidden)]
pub enum Answer {
    Acquire(AcquireVote),
    Raise(RaiseVote),
    Extend(ExtendVote),
    Release(ReleaseVote),
}

/// The side that asks: it says what is asked, and counts the answers.
pub(crate) trait Asker: Send + Sync {
    fn entry(&self) -> &Entry;

    /// The token that counters are raised to, if there is one.
    fn token(&self) -> Option<FencingToken>;

    /// How long the answer is waited for, once the question has been sent. The node may do what it was
    /// asked for as long.
    fn patience(&self) -> Duration;

    /// Whether the question is still worth sending. Asked immediately before it is sent.
    fn may_ask(&self, operation: Operation) -> Result<(), NodeError>;

    /// Takes the answer of one node: exactly one for each question.
    fn answered(self: Arc<Self>, node: usize, operation: Operation, answer: NodeAnswer);

    /// The node has said enough for an answer, and is asked for more. If nothing more comes in time,
    /// this is its answer.
    fn expect(&self, node: usize, answer: Answer);

    /// The question was dropped unanswered, because its time was over or its runtime has ended. The
    /// node may have done what it was asked.
    fn given_up(self: Arc<Self>, node: usize, operation: Operation);

    /// The question has certainly not been sent, because its connection had ended. It may be sent
    /// over a new one.
    fn unsent(self: Arc<Self>, node: usize, operation: Operation, error: NodeError);
}

pub(crate) type NodeAnswer = Result<Answer, NodeError>;

/// One operation that one node is asked for, until it is answered.
///
/// Dropped without an answer, it is given up: the node may have done what it was asked.
#[doc(hidden)]
pub struct Question {
    // None once it is answered.
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

    /// The same question, asked again: if it cannot be sent this time, that is its answer.
    pub(crate) fn retried(mut self) -> Self {
        self.is_retried = true;
        self
    }

    fn asker(&self) -> &Arc<dyn Asker> {
        self.asker.as_ref().expect("there until it is answered")
    }

    pub(crate) fn entry(&self) -> &Entry {
        self.asker().entry()
    }

    pub(crate) fn token(&self) -> Option<FencingToken> {
        self.asker().token()
    }

    pub(crate) fn patience(&self) -> Duration {
        self.asker().patience()
    }

    pub(crate) const fn operation(&self) -> Operation {
        self.operation
    }

    pub(crate) const fn is_retried(&self) -> bool {
        self.is_retried
    }

    /// Whether to send it; if not, it has been answered.
    pub(crate) fn may_be_sent(&mut self) -> bool {
        match self.asker().may_ask(self.operation) {
            Ok(()) => true,
            Err(error) => {
                self.settle(Err(error));
                false
            }
        }
    }

    /// If nothing more comes in time, this is the answer.
    pub(crate) fn expect(&self, answer: Answer) {
        self.asker().expect(self.node as usize, answer);
    }

    pub(crate) fn answer(mut self, answer: NodeAnswer) {
        self.settle(answer);
    }

    /// It has certainly not been sent, and may be sent over another connection.
    pub(crate) fn unsent(mut self, error: NodeError) {
        if let Some(asker) = self.asker.take() {
            asker.unsent(self.node as usize, self.operation, error);
        }
    }

    fn settle(&mut self, answer: NodeAnswer) {
        if let Some(asker) = self.asker.take() {
            asker.answered(self.node as usize, self.operation, answer);
        }
    }
}

impl Drop for Question {
    fn drop(&mut self) {
        if let Some(asker) = self.asker.take() {
            asker.given_up(self.node as usize, self.operation);
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
