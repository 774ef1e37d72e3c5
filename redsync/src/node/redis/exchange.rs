//! The translation of an operation into commands, and of the replies into a vote.
//!
//! An [`Exchange`] carries one operation out on one server: it writes a command and reads the
//! reply, until there is an answer. It does no I/O of its own, so it serves drivers that send one
//! command at a time as well as drivers that send the commands of many locks together.

use std::{ptr, sync::Arc};

use super::{
    Reply,
    command::Arguments,
    dialect::{DeleteIfEqual, Dialect, is_missing},
    script::{ACQUIRE, By, DELETE, EXTEND, INSPECT, RAISE, RELEASE, SHARE, Script, millis},
};
use crate::{
    FencingToken, Mode,
    node::{AcquireVote, Answer, Entry, Holders, NodeAnswer, NodeError, Operation},
};

/// One operation on one server, until there is an answer.
pub(super) struct Exchange {
    operation: Operation,
    step: Step,
}

/// The command that is sent next, or whose reply is awaited.
enum Step {
    /// Sets the key as go-redsync does. This is the most common lock: one name, exclusive, not
    /// fenced.
    SetIfAbsent,
    /// Deletes the key with a command that the server may not know. The dialect remembers if not.
    DeleteIfEqual(DeleteIfEqual, Arc<Dialect>),
    Script(&'static Script, By),
}

/// What a reply leads to.
enum Outcome {
    Answered(Answer),
    /// Another command has to be sent.
    Continued(Step),
}

impl Exchange {
    pub(super) fn new(operation: Operation, entry: &Entry, dialect: &Arc<Dialect>) -> Self {
        let step = match operation {
            Operation::Acquire if is_plain(entry) && !entry.fenced => Step::SetIfAbsent,
            Operation::Acquire if entry.mode == Mode::Shared => Step::script(&SHARE),
            Operation::Acquire => Step::script(&ACQUIRE),
            Operation::Raise => Step::script(&RAISE),
            Operation::Extend | Operation::Heal => Step::script(&EXTEND),
            Operation::Release if is_plain(entry) => Step::delete_if_equal(dialect),
            Operation::Release => Step::script(&RELEASE),
        };
        Self { operation, step }
    }

    /// The answer if no other reply arrives in time.
    ///
    /// Before the second question, the server has already said that the name is held. This counts
    /// even if the reply to the second question is late.
    pub(super) fn interim(&self) -> Option<Answer> {
        let taken = Answer::Acquire(AcquireVote::Taken { remaining: None });
        self.step.asks_for_holder().then_some(taken)
    }

    /// Writes the next command.
    pub(super) fn write(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        command: &mut impl Arguments,
    ) {
        let (name, value) = (entry.names[0].as_bytes(), entry.value.as_str().as_bytes());
        match &self.step {
            Step::SetIfAbsent => {
                command.arg(b"SET");
                command.arg(name);
                command.arg(value);
                command.arg(b"NX");
                command.arg(b"PX");
                command.number(millis(entry.expiry));
            }
            Step::DeleteIfEqual(DeleteIfEqual::Delifeq, _) => {
                command.arg(b"DELIFEQ");
                command.arg(name);
                command.arg(value);
            }
            Step::DeleteIfEqual(..) => {
                command.arg(b"DELEX");
                command.arg(name);
                command.arg(b"IFEQ");
                command.arg(value);
            }
            Step::Script(script, by) => script.write(*by, self.operation, entry, token, command),
        }
    }

    /// Reads the reply. Returns the answer, or [`None`] if another command follows.
    pub(super) fn reply(
        &mut self,
        entry: &Entry,
        reply: Result<Reply, NodeError>,
    ) -> Option<NodeAnswer> {
        match self.read(entry, reply) {
            Ok(Outcome::Answered(answer)) => Some(Ok(answer)),
            Ok(Outcome::Continued(step)) => {
                self.step = step;
                None
            }
            Err(error) => Some(Err(error)),
        }
    }

    fn read(&self, entry: &Entry, reply: Result<Reply, NodeError>) -> Result<Outcome, NodeError> {
        if let Err(error) = &reply
            && let Some(step) = self.step.after(error)
        {
            return Ok(Outcome::Continued(step));
        }
        Ok(match (&self.step, reply) {
            (Step::SetIfAbsent, reply) => match reply? {
                Reply::Status(_) => {
                    Outcome::Answered(Answer::Acquire(AcquireVote::Acquired { number: None }))
                }
                Reply::Nil => Outcome::Continued(Step::script(&INSPECT)),
                reply => return Err(reply.unexpected()),
            },
            (step, reply) if step.asks_for_holder() => {
                if matches!(&reply, Ok(reply) if reply.is_not_a_lock()) {
                    let name = Arc::clone(&entry.names[0]);
                    return Ok(Outcome::Answered(Answer::Acquire(AcquireVote::NotALock {
                        name,
                    })));
                }
                match reply.and_then(|reply| reply.holders()) {
                    Ok(Some(found)) if found.mode == Mode::Exclusive => {
                        Outcome::Answered(Answer::Acquire(held_by(found, entry)))
                    }
                    // It is shared, or has become free: the script handles both.
                    Ok(_) => Outcome::Continued(Step::script(&ACQUIRE)),
                    Err(_) => {
                        Outcome::Answered(Answer::Acquire(AcquireVote::Taken { remaining: None }))
                    }
                }
            }
            (_, reply) => Outcome::Answered(reply?.answer(self.operation, entry)?),
        })
    }
}

impl Step {
    const fn script(script: &'static Script) -> Self {
        Self::Script(script, By::Hash)
    }

    fn delete_if_equal(dialect: &Arc<Dialect>) -> Self {
        match dialect.delete_if_equal() {
            DeleteIfEqual::Script => Self::script(&DELETE),
            form => Self::DeleteIfEqual(form, Arc::clone(dialect)),
        }
    }

    /// Whether the server is asked who holds the name, after it could not be set.
    fn asks_for_holder(&self) -> bool {
        matches!(self, Self::Script(script, _) if ptr::eq(*script, &raw const INSPECT))
    }

    /// What to send after the command has been refused, if another command does the same.
    fn after(&self, error: &NodeError) -> Option<Self> {
        match (self, error) {
            (Self::Script(script, by), error) => Some(Self::Script(script, by.after(error)?)),
            (Self::DeleteIfEqual(form, dialect), error) if is_missing(error) => {
                dialect.lacks(*form);
                Some(Self::delete_if_equal(dialect))
            }
            // The key may have another type. The script can tell.
            (Self::DeleteIfEqual(..), NodeError::Refused { code, .. })
                if matches!(&**code, "ERR" | "WRONGTYPE") =>
            {
                Some(Self::script(&DELETE))
            }
            _ => None,
        }
    }
}

/// Whether the entry is one exclusive name, whose key is a plain string as in go-redsync.
fn is_plain(entry: &Entry) -> bool {
    entry.names.len() == 1 && entry.mode == Mode::Exclusive
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
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::node::{ReleaseVote, redis::command::Command};

    fn entry() -> Entry {
        Entry::new("a", "mine".into(), Duration::from_secs(8))
    }

    /// The commands of an exchange with a server that sends these replies, and the answer.
    fn exchange(
        operation: Operation,
        dialect: &Arc<Dialect>,
        replies: impl IntoIterator<Item = Result<Reply, NodeError>>,
    ) -> (Vec<String>, NodeAnswer) {
        let entry = entry();
        let mut exchange = Exchange::new(operation, &entry, dialect);
        let mut asked = Vec::new();
        for reply in replies {
            let mut command = Command::default();
            exchange.write(&entry, Some(FencingToken::new(7)), &mut command);
            let words = command.args().into_iter().map(String::from_utf8_lossy);
            // Hashes and code are not compared.
            let words: Vec<_> = words
                .map(|word| if word.len() > 39 { "...".into() } else { word })
                .collect();
            asked.push(words.join(" "));
            if let Some(answer) = exchange.reply(&entry, reply) {
                return (asked, answer);
            }
        }
        panic!("no answer after {asked:?}");
    }

    fn refused(code: &str, message: &str) -> Result<Reply, NodeError> {
        Err(NodeError::refused(code, message))
    }

    const RELEASED: Answer = Answer::Release(ReleaseVote::Released);

    #[test]
    fn each_command_that_a_server_does_not_know_is_sent_once() {
        for error in [("ERR", "unknown command 'X'"), ("NOPERM", "")] {
            let dialect = Arc::<Dialect>::default();
            let missing = || refused(error.0, error.1);
            let one = || Ok(Reply::Integer(1));
            let (asked, answer) =
                exchange(Operation::Release, &dialect, [missing(), missing(), one()]);
            let first = [
                "DELIFEQ a mine",
                "DELEX a IFEQ mine",
                "EVALSHA ... 1 a mine",
            ];
            assert_eq!(
                (&asked[..], answer.unwrap()),
                (&first.map(String::from)[..], RELEASED)
            );
            let (asked, _) = exchange(Operation::Release, &dialect, [one()]);
            assert_eq!(asked, ["EVALSHA ... 1 a mine"]);
        }
    }

    #[test]
    fn after_an_error_about_the_key_the_script_is_sent() {
        for error in [("WRONGTYPE", ""), ("ERR", "Key should be of string type")] {
            let dialect = Arc::<Dialect>::default();
            let replies = [refused(error.0, error.1), Ok(Reply::Integer(0))];
            let (asked, answer) = exchange(Operation::Release, &dialect, replies);
            assert_eq!(asked, ["DELIFEQ a mine", "EVALSHA ... 1 a mine"]);
            assert_eq!(answer.unwrap(), Answer::Release(ReleaseVote::NotOwner));
            assert_eq!(dialect.delete_if_equal(), DeleteIfEqual::Delifeq);
        }
    }

    #[test]
    fn an_unknown_script_is_sent_as_code() {
        let replies = [refused("NOSCRIPT", ""), Ok(Reply::Integer(1))];
        let (asked, _) = exchange(Operation::Raise, &Arc::<Dialect>::default(), replies);
        assert!(
            asked[0].starts_with("EVALSHA") && asked[1].starts_with("EVAL "),
            "{asked:?}"
        );
    }

    #[test]
    fn if_a_name_is_held_the_server_is_asked_for_its_holder() {
        let bytes = |text: &str| Reply::Bytes(text.into());
        let held = |value| {
            let parts = vec![bytes("exclusive"), bytes(value), Reply::Integer(70)];
            [Ok(Reply::Nil), Ok(Reply::Array(parts))]
        };
        let acquire = |replies| exchange(Operation::Acquire, &Arc::<Dialect>::default(), replies);
        let (asked, answer) = acquire(held("other"));
        assert_eq!(asked, ["SET a mine NX PX 8000", "EVALSHA ... 1 a"]);
        let remaining = Some(Duration::from_millis(70));
        assert_eq!(
            answer.unwrap(),
            Answer::Acquire(AcquireVote::Taken { remaining })
        );
        // The command was delivered twice.
        let (_, answer) = acquire(held("mine"));
        assert_eq!(
            answer.unwrap(),
            Answer::Acquire(AcquireVote::Acquired { number: None })
        );
        // The reply to the second question is an error, and the first reply still counts.
        let (_, answer) = acquire([Ok(Reply::Nil), Err(NodeError::TimedOut)]);
        let taken = AcquireVote::Taken { remaining: None };
        assert_eq!(answer.unwrap(), Answer::Acquire(taken));
    }
}
