//! The translation of an operation into commands, and of the replies into a vote.
//!
//! An [`Exchange`] carries one operation out on one server: it writes a command and reads the
//! reply, until there is an answer. It does no I/O of its own, so it serves drivers that send one
//! command at a time as well as drivers that send the commands of many locks together.

use std::{fmt, sync::Arc, time::Duration};

use super::{
    Reply,
    command::Arguments,
    dialect::{DeleteIfEqual, Dialect, is_missing},
    script::{ACQUIRE, By, DELETE, EXTEND, INSPECT, RAISE, RELEASE, SHARE, Script},
};
use crate::{
    FencingToken, Mode, OwnerValue,
    fence::{RETENTION, STRIDE},
    node::{
        AcquireVote, Answer, EXCLUSIVE_NEXT, Entry, ExtendVote, Holder, Holders, NodeAnswer,
        NodeError, Operation, Question, RaiseVote, ReleaseVote,
    },
};

/// One operation on one server, until there is an answer.
pub(super) struct Exchange {
    operation: Operation,
    step: Step,
}

#[derive(Clone, Copy)]
enum Step {
    /// Sets the key as go-redsync does. This is the most common lock: one name, exclusive, not
    /// fenced.
    SetIfAbsent,
    /// Asks who holds the name, after it could not be set.
    FindHolder(By),
    DeleteIfEqual(DeleteIfEqual),
    Script(&'static Script, By),
}

/// The consequence of a reply.
enum Next {
    Done(Answer),
    GoOn(Step),
}

impl Exchange {
    pub(super) fn new(operation: Operation, entry: &Entry, dialect: &Dialect) -> Self {
        let step = match operation {
            Operation::Acquire if is_plain(entry) && !entry.fenced => Step::SetIfAbsent,
            Operation::Acquire if entry.mode == Mode::Shared => Step::Script(&SHARE, By::Hash),
            Operation::Acquire => Step::Script(&ACQUIRE, By::Hash),
            Operation::Raise => Step::Script(&RAISE, By::Hash),
            Operation::Extend | Operation::Heal => Step::Script(&EXTEND, By::Hash),
            Operation::Release if is_plain(entry) => match dialect.delete_if_equal() {
                DeleteIfEqual::Script => Step::Script(&DELETE, By::Hash),
                form => Step::DeleteIfEqual(form),
            },
            Operation::Release => Step::Script(&RELEASE, By::Hash),
        };
        Self { operation, step }
    }

    /// The answer if no other reply arrives in time.
    ///
    /// Before the second question, the server has already said that the name is held. This counts
    /// even if the reply to the second question is late.
    pub(super) const fn interim(&self) -> Option<Answer> {
        match self.step {
            Step::FindHolder(_) => Some(Answer::Acquire(AcquireVote::Taken { remaining: None })),
            _ => None,
        }
    }

    /// Writes the next command.
    pub(super) fn write(
        &self,
        entry: &Entry,
        token: Option<FencingToken>,
        command: &mut impl Arguments,
    ) {
        let (name, value) = (entry.names[0].as_bytes(), entry.value.as_str().as_bytes());
        match self.step {
            Step::SetIfAbsent => {
                command.arg(b"SET");
                command.arg(name);
                command.arg(value);
                command.arg(b"NX");
                command.arg(b"PX");
                command.number(millis(entry.expiry));
            }
            Step::FindHolder(by) => {
                INSPECT.write(by, 1, command);
                command.arg(name);
            }
            Step::DeleteIfEqual(DeleteIfEqual::Delifeq) => {
                command.arg(b"DELIFEQ");
                command.arg(name);
                command.arg(value);
            }
            Step::DeleteIfEqual(_) => {
                command.arg(b"DELEX");
                command.arg(name);
                command.arg(b"IFEQ");
                command.arg(value);
            }
            Step::Script(script, by) => self.write_script(script, by, entry, token, command),
        }
    }

    fn write_script(
        &self,
        script: &'static Script,
        by: By,
        entry: &Entry,
        token: Option<FencingToken>,
        command: &mut impl Arguments,
    ) {
        let has_counters = match self.operation {
            Operation::Acquire => entry.fenced,
            Operation::Raise => true,
            Operation::Extend | Operation::Heal => token.is_some(),
            Operation::Release => false,
        };
        let names = entry.names.len();
        script.write(by, if has_counters { 2 * names } else { names }, command);
        for name in entry.names.iter() {
            command.arg(name.as_bytes());
        }
        if has_counters {
            for name in entry.names.iter() {
                command.arg(counter_key(name).as_bytes());
            }
        }
        command.arg(entry.value.as_str().as_bytes());
        let expiry = millis(entry.expiry);
        match self.operation {
            Operation::Acquire if entry.mode == Mode::Shared => command.number(expiry),
            Operation::Acquire => {
                command.number(expiry);
                command.number(names as u64);
                command.number(STRIDE);
                command.number(millis(RETENTION));
                command.number(millis(EXCLUSIVE_NEXT));
            }
            Operation::Raise => {
                command.number(token.map(FencingToken::get).unwrap_or_default());
                command.number(names as u64);
                command.number(millis(RETENTION));
            }
            Operation::Extend | Operation::Heal => {
                command.number(expiry);
                command.number(names as u64);
                command.arg(entry.mode.as_str().as_bytes());
                command.number((self.operation == Operation::Heal).into());
                match token {
                    Some(token) => command.number(token.get()),
                    None => command.arg(b""),
                }
                command.number(millis(RETENTION));
            }
            // The script for one exclusive name takes no further argument.
            Operation::Release if is_plain(entry) => {}
            Operation::Release => command.arg(entry.mode.as_str().as_bytes()),
        }
    }

    /// Reads the reply. Returns the answer, or [`None`] if another command follows.
    pub(super) fn reply(
        &mut self,
        entry: &Entry,
        dialect: Option<&Dialect>,
        reply: Result<Reply, NodeError>,
    ) -> Option<NodeAnswer> {
        match self.read(entry, dialect, reply) {
            Ok(Next::Done(answer)) => Some(Ok(answer)),
            Ok(Next::GoOn(step)) => {
                self.step = step;
                None
            }
            Err(error) => Some(Err(error)),
        }
    }

    fn read(
        &self,
        entry: &Entry,
        dialect: Option<&Dialect>,
        reply: Result<Reply, NodeError>,
    ) -> Result<Next, NodeError> {
        match (self.step, reply) {
            (Step::Script(script, By::Hash), Err(error)) if is_unknown(&error) => {
                Ok(Next::GoOn(Step::Script(script, By::Code)))
            }
            (Step::FindHolder(By::Hash), Err(error)) if is_unknown(&error) => {
                Ok(Next::GoOn(Step::FindHolder(By::Code)))
            }
            (Step::FindHolder(_), reply) => Ok(match reply.and_then(|reply| holders(&reply)) {
                Ok(Some(found)) if found.mode == Mode::Exclusive => {
                    Next::Done(Answer::Acquire(held_by(found, entry)))
                }
                // It is shared, or has become free: the script handles both.
                Ok(_) => Next::GoOn(Step::Script(&ACQUIRE, By::Hash)),
                Err(_) => Next::Done(Answer::Acquire(AcquireVote::Taken { remaining: None })),
            }),
            (Step::DeleteIfEqual(form), Err(error)) if is_missing(&error) => {
                let known = dialect.map(|dialect| {
                    dialect.lacks(form);
                    dialect.delete_if_equal()
                });
                Ok(Next::GoOn(match known {
                    None | Some(DeleteIfEqual::Script) => Step::Script(&DELETE, By::Hash),
                    Some(form) => Step::DeleteIfEqual(form),
                }))
            }
            // The key may have another type. The script can tell.
            (Step::DeleteIfEqual(_), Err(NodeError::Refused { code, .. }))
                if matches!(&*code, "ERR" | "WRONGTYPE") =>
            {
                Ok(Next::GoOn(Step::Script(&DELETE, By::Hash)))
            }
            (Step::SetIfAbsent, reply) => match reply? {
                Reply::Status(_) => Ok(Next::Done(Answer::Acquire(AcquireVote::Acquired {
                    number: None,
                }))),
                Reply::Nil => Ok(Next::GoOn(Step::FindHolder(By::Hash))),
                reply => Err(reply.unexpected()),
            },
            (Step::DeleteIfEqual(_) | Step::Script(..), reply) => {
                self.answer(&reply?).map(Next::Done)
            }
        }
    }

    fn answer(&self, reply: &Reply) -> Result<Answer, NodeError> {
        Ok(match (self.operation, reply) {
            (Operation::Acquire, Reply::Array(parts)) => Answer::Acquire(match &parts[..] {
                [Reply::Integer(1)] => AcquireVote::Acquired { number: None },
                [Reply::Integer(1), Reply::Bytes(number)] => AcquireVote::Acquired {
                    number: Some(parse(number)?),
                },
                [Reply::Integer(0), Reply::Integer(left)] => AcquireVote::Taken {
                    remaining: remaining(*left),
                },
                _ => return Err(reply.unexpected()),
            }),
            (Operation::Raise, Reply::Integer(1)) => Answer::Raise(RaiseVote::Raised),
            (Operation::Raise, Reply::Integer(0)) => Answer::Raise(RaiseVote::Refused),
            (Operation::Extend | Operation::Heal, Reply::Integer(2)) => {
                Answer::Extend(ExtendVote::Healed)
            }
            (Operation::Extend | Operation::Heal, Reply::Integer(1)) => {
                Answer::Extend(ExtendVote::Extended)
            }
            (Operation::Extend | Operation::Heal, Reply::Integer(0)) => {
                Answer::Extend(ExtendVote::NotOwner)
            }
            (Operation::Release, Reply::Integer(1)) => Answer::Release(ReleaseVote::Released),
            (Operation::Release, Reply::Integer(0)) => Answer::Release(ReleaseVote::NotOwner),
            (_, reply) => return Err(reply.unexpected()),
        })
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

/// Whether the error says that the server does not know the script.
pub(super) fn is_unknown(error: &NodeError) -> bool {
    matches!(error, NodeError::Refused { code, .. } if &**code == "NOSCRIPT")
}

/// Reads the reply of the script that inspects a name.
pub(super) fn holders(reply: &Reply) -> Result<Option<Holders>, NodeError> {
    let parts = match reply {
        Reply::Nil => return Ok(None),
        Reply::Array(parts) => &parts[..],
        _ => return Err(reply.unexpected()),
    };
    let (mode, holders) = match parts {
        [Reply::Bytes(mode), holders @ ..] if mode == b"exclusive" => (Mode::Exclusive, holders),
        [Reply::Bytes(mode), holders @ ..] if mode == b"shared" => (Mode::Shared, holders),
        _ => return Err(reply.unexpected()),
    };
    let holders = holders.chunks(2).map(|holder| match holder {
        [Reply::Bytes(value), Reply::Integer(left)] => Ok(Holder {
            // A value that is not UTF-8 is not one of ours, and the lossy text is none either.
            value: OwnerValue::from(String::from_utf8_lossy(value).into_owned()),
            remaining: remaining(*left),
        }),
        _ => Err(reply.unexpected()),
    });
    Ok(Some(Holders {
        mode,
        holders: holders.collect::<Result<_, _>>()?,
    }))
}

/// The key of a name's counter.
///
/// In a cluster it has to be in the slot of the name. The slot depends on the part of the name in
/// its first `{...}`, or on the whole name if it has none (redis.io, "Redis cluster
/// specification"). A name that contains `}` or `{}` but no such part has no suitable key: a
/// cluster refuses to fence it, with the error `CROSSSLOT`.
fn counter_key(name: &str) -> String {
    let has_tag = (name.split_once('{'))
        .and_then(|(_, rest)| rest.split_once('}'))
        .is_some_and(|(tag, _)| !tag.is_empty());
    if has_tag {
        format!("{name}:fence")
    } else {
        format!("{{{name}}}:fence")
    }
}

/// Whole milliseconds. No overflow: the range of expiries is checked.
const fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}

/// The remaining time of a key. A negative number means that the key has no expiry.
fn remaining(left: i64) -> Option<Duration> {
    u64::try_from(left).ok().map(Duration::from_millis)
}

fn parse(number: &[u8]) -> Result<FencingToken, NodeError> {
    let number = std::str::from_utf8(number)
        .ok()
        .and_then(|number| number.parse().ok());
    number
        .map(FencingToken::new)
        .ok_or_else(|| NodeError::Unexpected("a counter that is not a number".into()))
}

/// A question of a lock, and the exchange with one server that answers it.
#[doc(hidden)]
pub struct Conversation {
    question: Question,
    exchange: Exchange,
    /// The dialect of the server, if the exchange may find out more about it.
    dialect: Option<Arc<Dialect>>,
}

impl fmt::Debug for Conversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Conversation").field(&self.question).finish()
    }
}

impl Conversation {
    pub(super) fn new(question: Question, dialect: &Arc<Dialect>) -> Self {
        let exchange = Exchange::new(question.operation(), question.entry(), dialect);
        let finds_out = matches!(exchange.step, Step::DeleteIfEqual(_));
        Self {
            question,
            exchange,
            dialect: finds_out.then(|| Arc::clone(dialect)),
        }
    }

    pub(super) fn into_question(self) -> Question {
        self.question
    }

    /// How long to wait for the reply.
    pub(super) fn patience(&self) -> Duration {
        self.question.patience()
    }

    /// Whether it is still worth sending. If not, it has been answered.
    pub(super) fn may_be_sent(&mut self) -> bool {
        self.question.may_be_sent()
    }

    /// Writes the next command.
    pub(super) fn write(&self, command: &mut impl Arguments) {
        let (entry, token) = (self.question.entry(), self.question.token());
        self.exchange.write(entry, token, command);
    }

    /// Reads the reply. Returns the conversation if another command follows.
    pub(super) fn reply(mut self, reply: Result<Reply, NodeError>) -> Option<Self> {
        let entry = self.question.entry();
        if let Some(answer) = (self.exchange).reply(entry, self.dialect.as_deref(), reply) {
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
        self.question.answer(self.exchange.interim().ok_or(error));
    }

    /// Reports that the last command has certainly not been sent.
    pub(super) fn unsent(self, error: NodeError) {
        self.question.unsent(error);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::node::redis::command::Command;

    fn entry() -> Entry {
        Entry::new("a", "mine".into(), Duration::from_secs(8))
    }

    /// The commands of an exchange with a server that sends these replies, and the answer.
    fn exchange(
        operation: Operation,
        dialect: &Dialect,
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
            if let Some(answer) = exchange.reply(&entry, Some(dialect), reply) {
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
            let dialect = Dialect::default();
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
            let dialect = Dialect::default();
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
        let (asked, _) = exchange(Operation::Raise, &Dialect::default(), replies);
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
        let acquire = |replies| exchange(Operation::Acquire, &Dialect::default(), replies);
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
