//! The translation of an operation into commands, and of the replies into a vote.
//!
//! An [`Exchange`] carries one operation out on one server: it writes a command and reads the
//! reply, until there is an answer. It does no I/O of its own, so it serves drivers that send one
//! command at a time as well as drivers that send the commands of many locks together.

mod step;

use std::sync::Arc;

use self::step::{Check, Run, Step};
use super::{
    Reply,
    command::Arguments,
    content::Content,
    dialect::{Dialect, may_do_otherwise},
    script::{ACQUIRE, By},
};
use crate::{
    Mode,
    node::{AcquireVote, Answer, Entry, Holders, NodeAnswer, NodeError, Operation, ReleaseVote},
};

/// The answer if the name is held, and nothing is known of its holder.
const TAKEN: Answer = Answer::Acquire(AcquireVote::Taken { remaining: None });

/// One operation on one server, until there is an answer. Each method is given the same content.
pub(super) struct Exchange {
    step: Step,
    dialect: Arc<Dialect>,
}

/// The consequence of a reply.
enum Outcome {
    Answered(Answer),
    /// Another command has to be sent.
    Continued(Step),
}

impl Exchange {
    pub(super) fn new(content: &Content<'_>, dialect: &Arc<Dialect>) -> Self {
        Self {
            step: Step::first(content, dialect),
            dialect: Arc::clone(dialect),
        }
    }

    /// The answer if no other reply arrives in time.
    ///
    /// Before the second question, the server has already said that the name is held. This counts
    /// even if the reply to the second question is late.
    pub(super) fn interim(&self) -> Option<Answer> {
        matches!(self.step, Step::Script(Run::AskForHolder, _)).then_some(TAKEN)
    }

    /// Writes the next command.
    pub(super) fn write(&self, content: &Content<'_>, command: &mut impl Arguments) {
        self.step.write(content, command);
    }

    /// Reads the reply. Returns the answer, or [`None`] if another command follows.
    pub(super) fn reply(
        &mut self,
        content: &Content<'_>,
        reply: Result<Reply, NodeError>,
    ) -> Option<NodeAnswer> {
        if let Err(NodeError::Disconnected(_)) = &reply {
            self.disconnected();
        }
        match self.read(content, reply) {
            Ok(Outcome::Answered(answer)) => Some(Ok(answer)),
            Ok(Outcome::Continued(step)) => {
                self.step = step;
                None
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// Notes that the connection was closed in place of a reply. A proxy may refuse a command in
    /// this way.
    pub(super) fn disconnected(&self) {
        match &self.step {
            Step::DeleteIfEqual(command) | Step::Check(Check::DeleteIfEqual(command, _)) => {
                self.dialect.delete(*command).was_cut_off();
            }
            Step::Script(_, By::Hash) => self.dialect.run_by_hash.was_cut_off(),
            _ => {}
        }
    }

    /// Notes that the server has the optional command that this is the reply to.
    fn note(&self, reply: &Result<Reply, NodeError>) {
        match (&self.step, reply) {
            (
                Step::DeleteIfEqual(command) | Step::Check(Check::DeleteIfEqual(command, _)),
                Ok(_),
            ) => self.dialect.delete(*command).was_answered(),
            (Step::Script(_, By::Hash), Ok(_)) => self.dialect.run_by_hash.was_answered(),
            (Step::Script(_, By::Hash), Err(NodeError::Refused { code, .. }))
                if &**code == "NOSCRIPT" =>
            {
                self.dialect.run_by_hash.was_answered();
            }
            _ => {}
        }
    }

    fn run(&self, run: Run, content: &Content<'_>) -> Outcome {
        Outcome::Continued(Step::run(run, content.operation, &self.dialect))
    }

    fn read(
        &self,
        content: &Content<'_>,
        reply: Result<Reply, NodeError>,
    ) -> Result<Outcome, NodeError> {
        self.note(&reply);
        if let Err(error) = &reply
            && let Some(step) = self.step.after(error, content.operation, &self.dialect)?
        {
            return Ok(Outcome::Continued(step));
        }
        Ok(match &self.step {
            Step::Check(check) => {
                if check.is_passed_with(&reply?) {
                    self.dialect.note_release();
                }
                Outcome::Continued(Step::SetIfAbsent)
            }
            Step::SetIfAbsent => match reply? {
                Reply::Status(status) if status == "OK" => {
                    Outcome::Answered(Answer::Acquire(AcquireVote::Acquired { number: None }))
                }
                Reply::Nil => self.run(Run::AskForHolder, content),
                reply => return Err(reply.unexpected()),
            },
            Step::Script(Run::AskForHolder, _) => self.read_holder(content, reply),
            Step::DeleteIfEqual(..) | Step::Script(..) => self.read_answer(content, reply)?,
        })
    }

    /// Reads who holds the name that could not be set.
    fn read_holder(&self, content: &Content<'_>, reply: Result<Reply, NodeError>) -> Outcome {
        let found = match reply {
            Ok(reply) if reply.is_not_a_lock() => {
                let name = Arc::clone(&content.entry.names[0]);
                return Outcome::Answered(Answer::Acquire(AcquireVote::NotALock { name }));
            }
            reply => reply.and_then(|reply| reply.holders()),
        };
        match found {
            Ok(Some(found)) if found.mode == Mode::Exclusive => {
                Outcome::Answered(Answer::Acquire(held_by(found, content.entry)))
            }
            // It is shared, or has become free: the script handles both.
            Ok(_) => self.run(Run::Operation(&ACQUIRE), content),
            Err(_) => Outcome::Answered(TAKEN),
        }
    }

    /// Reads the reply to the command that carries the operation out.
    fn read_answer(
        &self,
        content: &Content<'_>,
        reply: Result<Reply, NodeError>,
    ) -> Result<Outcome, NodeError> {
        let &Content {
            operation, entry, ..
        } = content;
        Ok(match (&self.step, reply) {
            // It was taken when it was to be set, and has become free. A user with no more rights
            // than go-redsync needs may not run this script, which sets the name last, or not at
            // all.
            (Step::Script(Run::Operation(_), _), Err(error))
                if operation == Operation::Acquire
                    && content.is_plain()
                    && !entry.fenced
                    && may_do_otherwise(&error) =>
            {
                Outcome::Answered(TAKEN)
            }
            // The name may be reserved for this entry. Only the script can end that.
            (Step::DeleteIfEqual(..) | Step::Script(Run::Delete, _), Ok(Reply::Integer(0)))
                if entry.repeated =>
            {
                self.run(Run::EndReservation, content)
            }
            // The owner does not hold the key: this much is known. A reservation ends by itself,
            // and a user with no more rights than go-redsync needs has made none.
            (Step::Script(Run::EndReservation, _), Err(_)) => {
                Outcome::Answered(Answer::Release(ReleaseVote::NotOwner))
            }
            (_, reply) => Outcome::Answered(reply?.answer(operation, entry)?),
        })
    }
}

/// The vote on a name that is held: by another entry, or by this one after all.
fn held_by(found: Holders, entry: &Entry) -> AcquireVote {
    match found.holders.into_iter().next() {
        // The command was delivered twice on its way.
        Some(holder) if holder.value == entry.value => AcquireVote::Acquired { number: None },
        holder => AcquireVote::Taken {
            remaining: holder.and_then(|holder| holder.remaining),
        },
    }
}

#[cfg(test)]
mod tests;
