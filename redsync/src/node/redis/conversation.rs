//! A question of a lock on its way to one server and back.

use std::{fmt, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{Reply, command::Arguments, content::Content, dialect::Dialect, exchange::Exchange};
use crate::node::{NodeError, Operation, Question};

/// A question of a lock, and the exchange with one server that answers it.
#[doc(hidden)]
pub struct Conversation {
    question: Question,
    /// For how long the names are kept after their release.
    kept: Duration,
    exchange: Exchange,
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Conversation").field(&self.question).finish()
    }
}

impl Conversation {
    pub(super) fn new(question: Question, dialect: &Arc<Dialect>) -> Self {
        let kept = question.kept_after_release();
        Self {
            exchange: Exchange::new(&content(&question, kept), dialect),
            question,
            kept,
        }
    }

    pub(super) fn into_question(self) -> Question {
        self.question
    }

    /// How long to wait for the reply to a command that is sent at `now`.
    pub(super) fn patience(&self, now: Instant) -> Duration {
        self.question.patience(now)
    }

    /// Whether it is still worth sending at `now`. If not, it has been answered.
    pub(super) fn may_be_sent(&mut self, now: Instant) -> bool {
        self.question.may_be_sent(now)
    }

    /// Whether it may be asked over another connection although it may have been carried out. An
    /// extension that is carried out twice has the effect of one, and a release deletes nothing but
    /// its own key.
    pub(super) const fn may_be_repeated(&self) -> bool {
        self.is_extension() || self.is_release()
    }

    const fn is_extension(&self) -> bool {
        matches!(self.question.operation(), Operation::Extend)
    }

    pub(super) const fn is_release(&self) -> bool {
        matches!(self.question.operation(), Operation::Release)
    }

    /// Writes the next command.
    pub(super) fn write(&self, command: &mut impl Arguments) {
        let content = content(&self.question, self.kept);
        self.exchange.write(&content, command);
    }

    /// Reads the reply. Returns the conversation if another command follows.
    pub(super) fn reply(mut self, reply: Result<Reply, NodeError>) -> Option<Self> {
        let content = content(&self.question, self.kept);
        if let Some(answer) = self.exchange.reply(&content, reply) {
            self.question.answer(answer);
            return None;
        }
        if let Some(answer) = self.exchange.interim() {
            self.question.expect(answer);
        }
        Some(self)
    }

    /// Reports that the connection has failed, and that the last command may have been carried out.
    pub(super) fn fail(self, error: NodeError) {
        if let NodeError::Disconnected(_) = &error {
            self.exchange.disconnected();
        }
        if self.is_extension() {
            return self.question.unsent(error);
        }
        self.question.answer(self.exchange.interim().ok_or(error));
    }

    /// Notes that it is asked again over another connection, and may have been carried out.
    pub(super) fn is_asked_again(&self) {
        self.question.is_asked_again();
    }

    /// Leaves a connection that another has replaced: it is asked over that one if it may be
    /// repeated.
    pub(super) fn leave(self) {
        if self.may_be_repeated() {
            self.is_asked_again();
            self.unsent(NodeError::unreachable("the connection was silent"));
        } else {
            self.give_up();
        }
    }

    /// Waits for no other reply. The last command may have been carried out, or may still be.
    pub(super) fn give_up(self) {
        if let Some(answer) = self.exchange.interim() {
            self.question.answer(Ok(answer));
        }
        // Otherwise, dropping the question reports it as unanswered.
    }

    /// Reports that the last command has certainly not been sent.
    pub(super) fn unsent(self, error: NodeError) {
        self.question.unsent(error);
    }
}

/// The content of a question.
fn content(question: &Question, kept: Duration) -> Content<'_> {
    Content {
        token: question.token(),
        kept,
        ..Content::new(question.operation(), question.entry())
    }
}
