//! The translation of an operation into commands, and of the replies into a vote.
//!
//! An [`Exchange`] carries one operation out on one server: it writes a command and reads the
//! reply, until there is an answer. It does no I/O of its own, so it serves drivers that send one
//! command at a time as well as drivers that send the commands of many locks together.

use std::{sync::Arc, time::Duration};

use super::{
    Reply,
    command::Arguments,
    dialect::{DeleteIfEqual, Dialect, may_do_otherwise},
    script::{
        ACQUIRE, By, CHECK, DELETE, EXPIRE, EXTEND, INSPECT, RAISE, RELEASE, SHARE, Script, millis,
    },
};
use crate::{
    FencingToken, Mode,
    node::{AcquireVote, Answer, Entry, Holders, NodeAnswer, NodeError, Operation, ReleaseVote},
};

/// One operation on one server, until there is an answer.
pub(super) struct Exchange {
    operation: Operation,
    /// For how long the names are kept after their release.
    kept: Duration,
    step: Step,
    dialect: Arc<Dialect>,
}

/// The command that is sent next, or whose reply is awaited.
enum Step {
    /// Asks whether a lock on the name could be released, before the server acquires its first one.
    Check(Check),
    /// Sets the key as go-redsync does. This is the most common lock: one name, exclusive, not
    /// fenced.
    SetIfAbsent,
    /// Deletes the key with a command that the server may not know. The dialect remembers if not.
    DeleteIfEqual(DeleteIfEqual),
    Script(Run, By),
}

/// The purpose of a script.
#[derive(Clone, Copy)]
enum Run {
    /// The operation. It answers with its vote.
    Operation(&'static Script),
    /// To learn who holds the name, after it could not be set.
    AskForHolder,
    /// To delete the key if it has the owner value, now or after a time, and do nothing else.
    Delete,
    /// To let shared holders in again, after there was no key to delete.
    EndReservation,
}

/// The ways to release a lock, in the order in which they are tested before there is one.
enum Check {
    Script,
    /// A command that compares and deletes, with a value that no key has. The script was refused
    /// with this error.
    DeleteIfEqual(DeleteIfEqual, Box<str>),
}

/// The consequence of a reply.
enum Outcome {
    Answered(Answer),
    /// Another command has to be sent.
    Continued(Step),
}

impl Exchange {
    pub(super) fn new(
        operation: Operation,
        entry: &Entry,
        token: Option<FencingToken>,
        kept: Duration,
        dialect: &Arc<Dialect>,
    ) -> Self {
        let run = |run| Step::run(run, operation, dialect);
        let step = match operation {
            Operation::Acquire if is_plain(entry) && !entry.fenced => {
                if dialect.can_release() {
                    Step::SetIfAbsent
                } else {
                    Step::Check(Check::Script)
                }
            }
            Operation::Acquire if entry.mode == Mode::Shared => run(Run::Operation(&SHARE)),
            Operation::Acquire => run(Run::Operation(&ACQUIRE)),
            Operation::Raise => run(Run::Operation(&RAISE)),
            Operation::Extend | Operation::Heal if is_plain(entry) && token.is_none() => {
                run(Run::Operation(&EXPIRE))
            }
            Operation::Extend | Operation::Heal => run(Run::Operation(&EXTEND)),
            Operation::Release if is_plain(entry) && kept.is_zero() => {
                Step::delete_if_equal(operation, dialect)
            }
            Operation::Release if is_plain(entry) => run(Run::Delete),
            Operation::Release => run(Run::Operation(&RELEASE)),
        };
        Self {
            operation,
            kept,
            step,
            dialect: Arc::clone(dialect),
        }
    }

    /// The answer if no other reply arrives in time.
    ///
    /// Before the second question, the server has already said that the name is held. This counts
    /// even if the reply to the second question is late.
    pub(super) fn interim(&self) -> Option<Answer> {
        let taken = Answer::Acquire(AcquireVote::Taken { remaining: None });
        matches!(self.step, Step::Script(Run::AskForHolder, _)).then_some(taken)
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
            Step::DeleteIfEqual(delete) | Step::Check(Check::DeleteIfEqual(delete, _)) => {
                delete.write(name, value, command);
            }
            // Sent as code, because this is the first script that the server sees.
            Step::Check(Check::Script) => CHECK.write_for_name(By::Code, &entry.names[0], command),
            Step::Script(run, by) => {
                let script = run.script();
                script.write(*by, self.operation, entry, token, self.kept, command);
            }
        }
    }

    /// Reads the reply. Returns the answer, or [`None`] if another command follows.
    pub(super) fn reply(
        &mut self,
        entry: &Entry,
        reply: Result<Reply, NodeError>,
    ) -> Option<NodeAnswer> {
        if let Err(NodeError::Disconnected(_)) = &reply {
            self.disconnected();
        }
        match self.read(entry, reply) {
            Ok(Outcome::Answered(answer)) => Some(Ok(answer)),
            Ok(Outcome::Continued(step)) => {
                self.step = step;
                None
            }
            Err(error) => Some(Err(error)),
        }
    }

    /// Notes that the connection was closed in place of a reply. A proxy may refuse a command in this
    /// way.
    pub(super) fn disconnected(&self) {
        match &self.step {
            Step::DeleteIfEqual(command) => self.dialect.delete(*command).was_cut_off(),
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

    fn run(&self, run: Run) -> Outcome {
        Outcome::Continued(Step::run(run, self.operation, &self.dialect))
    }

    fn read(&self, entry: &Entry, reply: Result<Reply, NodeError>) -> Result<Outcome, NodeError> {
        self.note(&reply);
        if let Err(error) = &reply
            && let Some(step) = self.after(error)?
        {
            return Ok(Outcome::Continued(step));
        }
        Ok(match (&self.step, reply) {
            (Step::Check(check), reply) => {
                if check.is_passed_with(&reply?) {
                    self.dialect.note_release();
                }
                Outcome::Continued(Step::SetIfAbsent)
            }
            (Step::SetIfAbsent, reply) => match reply? {
                Reply::Status(_) => {
                    Outcome::Answered(Answer::Acquire(AcquireVote::Acquired { number: None }))
                }
                Reply::Nil => self.run(Run::AskForHolder),
                reply => return Err(reply.unexpected()),
            },
            (Step::Script(Run::AskForHolder, _), Ok(reply)) if reply.is_not_a_lock() => {
                let name = Arc::clone(&entry.names[0]);
                Outcome::Answered(Answer::Acquire(AcquireVote::NotALock { name }))
            }
            (Step::Script(Run::AskForHolder, _), reply) => {
                match reply.and_then(|reply| reply.holders()) {
                    Ok(Some(found)) if found.mode == Mode::Exclusive => {
                        Outcome::Answered(Answer::Acquire(held_by(found, entry)))
                    }
                    // It is shared, or has become free: the script handles both.
                    Ok(_) => self.run(Run::Operation(&ACQUIRE)),
                    Err(_) => {
                        Outcome::Answered(Answer::Acquire(AcquireVote::Taken { remaining: None }))
                    }
                }
            }
            // It was taken when it was to be set, and has become free. A user with no more rights than
            // go-redsync needs may not run this script, which sets the name last, or not at all.
            (Step::Script(Run::Operation(_), _), Err(error))
                if self.operation == Operation::Acquire
                    && is_plain(entry)
                    && !entry.fenced
                    && may_do_otherwise(&error) =>
            {
                Outcome::Answered(Answer::Acquire(AcquireVote::Taken { remaining: None }))
            }
            // The name may be reserved for this entry. Only the script can end that.
            (Step::DeleteIfEqual(..) | Step::Script(Run::Delete, _), Ok(Reply::Integer(0)))
                if entry.repeated =>
            {
                self.run(Run::EndReservation)
            }
            // The owner does not hold the key: this much is known. A reservation ends by itself, and
            // a user with no more rights than go-redsync needs has made none.
            (Step::Script(Run::EndReservation, _), Err(_)) => {
                Outcome::Answered(Answer::Release(ReleaseVote::NotOwner))
            }
            (Step::DeleteIfEqual(..) | Step::Script(..), reply) => {
                Outcome::Answered(reply?.answer(self.operation, entry)?)
            }
        })
    }
}

impl Step {
    fn run(run: Run, operation: Operation, dialect: &Dialect) -> Self {
        // A proxy may close the connection at a script that is sent by its hash. Until it has passed one, none
        // is sent in this way whose effect must not be repeated.
        let is_repeated = match operation {
            Operation::Acquire => matches!(run, Run::AskForHolder),
            Operation::Raise | Operation::Heal => false,
            Operation::Extend | Operation::Release => true,
        };
        let by_hash = match is_repeated {
            true => dialect.run_by_hash.may_be_sent(),
            false => dialect.run_by_hash.is_known(),
        };
        Self::Script(run, if by_hash { By::Hash } else { By::Code })
    }

    fn delete_if_equal(operation: Operation, dialect: &Dialect) -> Self {
        match dialect.delete_if_equal() {
            Some(command) => Self::DeleteIfEqual(command),
            None => Self::run(Run::Delete, operation, dialect),
        }
    }
}

impl Exchange {
    /// What to send after an error, if another command does the same; [`None`] if the error is the
    /// answer.
    fn after(&self, error: &NodeError) -> Result<Option<Step>, NodeError> {
        let (operation, dialect) = (self.operation, &*self.dialect);
        Ok(match &self.step {
            Step::Script(run, by) => {
                (run.script().after(*by, error)).map(|by| Step::Script(*run, by))
            }
            _ if !may_do_otherwise(error) => None,
            // The key has another type. The script can handle that.
            Step::DeleteIfEqual(..) if is_about_the_key(error) => {
                Some(Step::run(Run::Delete, operation, dialect))
            }
            Step::DeleteIfEqual(command) => {
                dialect.delete(*command).was_refused();
                Some(Step::delete_if_equal(operation, dialect))
            }
            // The key exists, so the name is taken.
            Step::Check(Check::DeleteIfEqual(..)) if is_about_the_key(error) => {
                Some(Step::SetIfAbsent)
            }
            Step::Check(check) => Some(Step::Check(check.after(error, dialect)?)),
            Step::SetIfAbsent => None,
        })
    }
}

impl Run {
    fn script(self) -> &'static Script {
        match self {
            Self::Operation(script) => script,
            Self::AskForHolder => &INSPECT,
            Self::Delete => &DELETE,
            Self::EndReservation => &RELEASE,
        }
    }
}

impl Check {
    /// Whether the reply says that a lock could be released. If the key exists, the script does
    /// not know.
    fn is_passed_with(&self, reply: &Reply) -> bool {
        match self {
            Self::Script => *reply == Reply::Integer(1),
            Self::DeleteIfEqual(..) => true,
        }
    }

    /// The next way, after this one was refused; an error if there is none.
    fn after(&self, error: &NodeError, dialect: &Dialect) -> Result<Self, NodeError> {
        let error = match self {
            Self::Script => error.to_string().into(),
            Self::DeleteIfEqual(command, first) => {
                dialect.delete(*command).was_refused();
                first.clone()
            }
        };
        match dialect.delete_if_equal() {
            Some(command) => Ok(Self::DeleteIfEqual(command, error)),
            None => Err(NodeError::CannotRelease { error }),
        }
    }
}

/// Whether the server knows the command, but cannot apply it to a key of this type.
fn is_about_the_key(error: &NodeError) -> bool {
    match error {
        NodeError::Refused { code, message } => match &**code {
            "WRONGTYPE" => true,
            "ERR" => message.contains("string type"),
            _ => false,
        },
        _ => false,
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
    use super::*;
    use crate::node::redis::command::Command;

    fn entry() -> Entry {
        Entry::new("a", "mine".into(), Duration::from_secs(8))
    }

    /// The commands of an exchange with a server that sends these replies, and the answer.
    fn exchange(
        operation: Operation,
        dialect: &Arc<Dialect>,
        replies: impl IntoIterator<Item = Result<Reply, NodeError>>,
    ) -> (Vec<String>, NodeAnswer) {
        exchange_for(&entry(), operation, dialect, replies)
    }

    fn exchange_for(
        entry: &Entry,
        operation: Operation,
        dialect: &Arc<Dialect>,
        replies: impl IntoIterator<Item = Result<Reply, NodeError>>,
    ) -> (Vec<String>, NodeAnswer) {
        let token = matches!(operation, Operation::Raise).then(|| FencingToken::new(7));
        let mut exchange = Exchange::new(operation, entry, token, Duration::ZERO, dialect);
        let mut asked = Vec::new();
        for reply in replies {
            let mut command = Command::default();
            exchange.write(entry, token, &mut command);
            let words = command.args().into_iter().map(String::from_utf8_lossy);
            // Hashes and code are not compared.
            let words: Vec<_> = words
                .map(|word| if word.len() > 39 { "...".into() } else { word })
                .collect();
            asked.push(words.join(" "));
            if let Some(answer) = exchange.reply(entry, reply) {
                return (asked, answer);
            }
        }
        panic!("no answer after {asked:?}");
    }

    fn refused(code: &str, message: &str) -> Result<Reply, NodeError> {
        Err(NodeError::refused(code, message))
    }

    const RELEASED: Answer = Answer::Release(ReleaseVote::Released);

    /// A dialect after a first lock.
    fn checked() -> Arc<Dialect> {
        let dialect = Arc::<Dialect>::default();
        dialect.note_release();
        dialect.run_by_hash.was_answered();
        dialect
    }

    const ACQUIRED: Answer = Answer::Acquire(AcquireVote::Acquired { number: None });

    #[test]
    fn a_name_that_is_kept_after_its_release_is_not_deleted() {
        let kept = Duration::from_micros(2500);
        let exchange = Exchange::new(Operation::Release, &entry(), None, kept, &checked());
        let mut command = Command::default();
        exchange.write(&entry(), None, &mut command);
        let args = command.args();
        assert_eq!(args[3..], [b"a".as_slice(), b"mine", b"3"]);
    }

    #[test]
    fn a_reservation_ends_if_the_user_may_end_it() {
        let entry = entry().with_repetition(true);
        let release = |replies: Vec<_>| {
            let dialect = checked();
            dialect.delete(DeleteIfEqual::Delifeq).was_refused();
            dialect.delete(DeleteIfEqual::Delex).was_refused();
            exchange_for(&entry, Operation::Release, &dialect, replies)
        };
        let not_owner = Answer::Release(ReleaseVote::NotOwner);
        let (asked, answer) = release(vec![Ok(Reply::Integer(1))]);
        assert_eq!((asked.len(), answer.unwrap()), (1, RELEASED));
        let none = || Ok(Reply::Integer(0));
        let (asked, answer) = release(vec![none(), none()]);
        assert_eq!(asked[1], "EVALSHA ... 1 a mine exclusive 500 0");
        assert_eq!(answer.unwrap(), not_owner);
        let refused = refused("NOPERM", "no permission to run 'type' script: f_0");
        let (_, answer) = release(vec![none(), refused.clone(), refused]);
        assert_eq!(answer.unwrap(), not_owner);
    }

    #[test]
    fn a_name_that_has_become_free_was_taken_if_the_user_may_not_run_the_script_that_acquires_it() {
        let acquire = |entry: &Entry, code| {
            let denied = refused(code, "no permission to run 'type' script: f_0");
            // By its hash, and as code.
            let replies = [Ok(Reply::Nil), Ok(Reply::Nil), denied.clone(), denied];
            exchange_for(entry, Operation::Acquire, &checked(), replies)
        };
        let (asked, answer) = acquire(&entry(), "NOPERM");
        assert_eq!(asked.len(), 4);
        let taken = Answer::Acquire(AcquireVote::Taken { remaining: None });
        assert_eq!(answer.unwrap(), taken);
        // This is about the server.
        let (_, answer) = acquire(&entry(), "READONLY");
        assert!(matches!(answer, Err(NodeError::Refused { .. })));
    }

    #[test]
    fn before_the_first_lock_a_server_is_asked_whether_it_could_release_it() {
        let dialect = Arc::<Dialect>::default();
        let set = || Ok(Reply::Status("OK".into()));
        let replies = [Ok(Reply::Integer(1)), set()];
        let (asked, answer) = exchange(Operation::Acquire, &dialect, replies);
        assert_eq!(asked, ["EVAL ... 1 a", "SET a mine NX PX 8000"]);
        assert_eq!(answer.unwrap(), ACQUIRED);
        let (asked, _) = exchange(Operation::Acquire, &dialect, [set()]);
        assert_eq!(asked, ["SET a mine NX PX 8000"]);
    }

    #[test]
    fn a_taken_name_says_nothing_about_releases() {
        let dialect = Arc::<Dialect>::default();
        let set = || Ok(Reply::Status("OK".into()));
        for _ in 0..2 {
            let replies = [Ok(Reply::Integer(0)), set()];
            let (asked, _) = exchange(Operation::Acquire, &dialect, replies);
            assert_eq!(asked, ["EVAL ... 1 a", "SET a mine NX PX 8000"]);
        }
        // Without scripts, the reply to a command shows as much.
        let dialect = Arc::<Dialect>::default();
        let replies = [
            refused("ERR", "no"),
            refused("WRONGTYPE", ""),
            Ok(Reply::Nil),
            Err(NodeError::TimedOut),
        ];
        let (_, answer) = exchange(Operation::Acquire, &dialect, replies);
        let taken = AcquireVote::Taken { remaining: None };
        assert_eq!(answer.unwrap(), Answer::Acquire(taken));
        assert!(!dialect.can_release());
    }

    #[test]
    fn a_server_that_could_not_release_a_lock_is_not_asked_to_acquire_it() {
        let dialect = Arc::<Dialect>::default();
        let refusals = || ["script", "DELIFEQ", "DELEX"].map(|word| refused("no", word));
        let (asked, answer) = exchange(Operation::Acquire, &dialect, refusals());
        assert_eq!(
            asked,
            ["EVAL ... 1 a", "DELIFEQ a mine", "DELEX a IFEQ mine"]
        );
        let error = answer.unwrap_err();
        assert!(
            matches!(&error, NodeError::CannotRelease { error } if error.ends_with("no script"))
        );
        assert!(error.is_undone());
        // Again and again, until it is configured in another way.
        let (asked, _) = exchange(Operation::Acquire, &dialect, refusals());
        assert_eq!(asked, ["EVAL ... 1 a"]);
        // Either of the commands is enough.
        for refused in 1..3 {
            let dialect = Arc::<Dialect>::default();
            let refusals = refusals().into_iter().take(refused);
            let replies = refusals.chain([Ok(Reply::Integer(0)), Ok(Reply::Status("OK".into()))]);
            let (_, answer) = exchange(Operation::Acquire, &dialect, replies);
            assert_eq!(answer.unwrap(), ACQUIRED);
            assert!(dialect.can_release());
        }
    }

    #[test]
    fn a_server_that_refuses_everything_for_now_is_not_one_that_cannot_release() {
        for code in ["LOADING", "READONLY", "NOAUTH", "BUSY"] {
            let dialect = Arc::<Dialect>::default();
            let (_, answer) = exchange(Operation::Acquire, &dialect, [refused(code, "")]);
            assert!(
                matches!(answer, Err(NodeError::Refused { .. })),
                "{answer:?}"
            );
            assert_eq!(dialect.delete_if_equal(), Some(DeleteIfEqual::Delifeq));
        }
    }

    #[test]
    fn each_command_that_a_server_does_not_know_is_sent_once() {
        for error in [
            ("ERR", "unknown command 'X'"),
            ("NOPERM", ""),
            ("unsupported", "command"),
            ("DENIED", ""),
        ] {
            let dialect = Arc::<Dialect>::default();
            let missing = || refused(error.0, error.1);
            let one = || Ok(Reply::Integer(1));
            let (asked, answer) =
                exchange(Operation::Release, &dialect, [missing(), missing(), one()]);
            let first = [
                "DELIFEQ a mine",
                "DELEX a IFEQ mine",
                "EVALSHA ... 1 a mine 0",
            ];
            assert_eq!(
                (&asked[..], answer.unwrap()),
                (&first.map(String::from)[..], RELEASED)
            );
            let (asked, _) = exchange(Operation::Release, &dialect, [one()]);
            assert_eq!(asked, ["EVALSHA ... 1 a mine 0"]);
        }
    }

    #[test]
    fn after_an_error_about_the_key_the_script_is_sent() {
        for error in [("WRONGTYPE", ""), ("ERR", "Key should be of string type")] {
            let dialect = Arc::<Dialect>::default();
            let replies = [refused(error.0, error.1), Ok(Reply::Integer(0))];
            let (asked, answer) = exchange(Operation::Release, &dialect, replies);
            assert_eq!(asked, ["DELIFEQ a mine", "EVALSHA ... 1 a mine 0"]);
            assert_eq!(answer.unwrap(), Answer::Release(ReleaseVote::NotOwner));
            assert_eq!(dialect.delete_if_equal(), Some(DeleteIfEqual::Delifeq));
        }
    }

    #[test]
    fn a_script_that_is_refused_by_its_hash_is_sent_as_code() {
        for error in [("NOSCRIPT", ""), ("NOPERM", "evalsha"), ("unsupported", "")] {
            let replies = [refused(error.0, error.1), Ok(Reply::Integer(1))];
            let (asked, _) = exchange(Operation::Raise, &checked(), replies);
            assert!(
                asked[0].starts_with("EVALSHA") && asked[1].starts_with("EVAL "),
                "{asked:?}"
            );
        }
    }

    /// A proxy may close the connection at a hash, and then it is unknown whether the script has run.
    #[test]
    fn until_a_script_was_answered_by_its_hash_none_is_sent_so_that_may_not_run_twice() {
        let dialect = Arc::<Dialect>::default();
        let ways = || {
            let operations = [
                Operation::Raise,
                Operation::Heal,
                Operation::Extend,
                Operation::Release,
            ];
            operations.map(|operation| {
                let exchange = Exchange::new(
                    operation,
                    &entry().with_names(["a", "b"]),
                    None,
                    Duration::ZERO,
                    &dialect,
                );
                let Step::Script(_, by) = exchange.step else {
                    panic!("no script");
                };
                by
            })
        };
        assert_eq!(ways(), [By::Code, By::Code, By::Hash, By::Hash]);
        let cut_off = || NodeError::Disconnected(Arc::from(Box::from("closed")));
        let (_, answer) = exchange(Operation::Extend, &dialect, [Err(cut_off())]);
        assert!(matches!(answer, Err(NodeError::Disconnected(_))));
        assert_eq!(ways(), [By::Code; 4]);
        dialect.run_by_hash.was_answered();
        assert_eq!(ways(), [By::Hash; 4]);
        // The server has restarted.
        let (_, answer) = exchange(Operation::Extend, &dialect, [Err(cut_off())]);
        assert!(matches!(answer, Err(NodeError::Disconnected(_))));
        assert_eq!(ways(), [By::Hash; 4]);
    }

    #[test]
    fn a_script_that_has_run_and_failed_is_not_sent_again() {
        let mut command = Command::default();
        RAISE.write_for_name(By::Hash, "a", &mut command);
        let hash = String::from_utf8_lossy(command.args()[1]).into_owned();
        for message in [
            format!("no counter script: {hash}, on @user_script:7."),
            format!("Error running script (call to f_{hash}): @user_script:7: no counter"),
        ] {
            let (asked, answer) =
                exchange(Operation::Raise, &checked(), [refused("ERR", &message)]);
            assert_eq!(asked.len(), 1);
            assert!(matches!(answer, Err(NodeError::Refused { .. })));
        }
    }

    #[test]
    fn if_a_name_is_held_the_server_is_asked_for_its_holder() {
        let bytes = |text: &str| Reply::Bytes(text.into());
        let held = |value| {
            let parts = vec![bytes("exclusive"), bytes(value), Reply::Integer(70)];
            [Ok(Reply::Nil), Ok(Reply::Array(parts))]
        };
        let acquire = |replies| exchange(Operation::Acquire, &checked(), replies);
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
