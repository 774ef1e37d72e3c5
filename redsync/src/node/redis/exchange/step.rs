//! The steps of an exchange: which command is sent, and which one in place of a command that was
//! refused.

use super::super::{
    Reply,
    command::Arguments,
    content::Content,
    dialect::{DeleteIfEqual, Dialect, may_do_otherwise},
    script::{
        ACQUIRE, By, CHECK, DELETE, EXPIRE, EXTEND, INSPECT, RAISE, RELEASE, SHARE, Script, millis,
    },
};
use crate::{
    Mode,
    node::{NodeError, Operation},
};

/// The command that is sent next, or whose reply is awaited.
pub(super) enum Step {
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
pub(super) enum Run {
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
pub(super) enum Check {
    Script,
    /// A command that compares and deletes, with a value that no key has. The script was refused
    /// with this error.
    DeleteIfEqual(DeleteIfEqual, Box<str>),
}

impl Step {
    /// The step with which an exchange of this content begins.
    pub(super) fn first(content: &Content<'_>, dialect: &Dialect) -> Self {
        let run = |run| Self::run(run, content.operation, dialect);
        match content.operation {
            Operation::Acquire if content.is_plain() && !content.entry.fenced => {
                if dialect.can_release() {
                    Self::SetIfAbsent
                } else {
                    Self::Check(Check::Script)
                }
            }
            Operation::Acquire if content.entry.mode == Mode::Shared => run(Run::Operation(&SHARE)),
            Operation::Acquire => run(Run::Operation(&ACQUIRE)),
            Operation::Raise => run(Run::Operation(&RAISE)),
            Operation::Extend | Operation::Heal
                if content.is_plain() && content.token.is_none() =>
            {
                run(Run::Operation(&EXPIRE))
            }
            Operation::Extend | Operation::Heal => run(Run::Operation(&EXTEND)),
            Operation::Release if content.is_plain() && content.kept.is_zero() => {
                Self::delete_if_equal(content.operation, dialect)
            }
            Operation::Release if content.is_plain() => run(Run::Delete),
            Operation::Release => run(Run::Operation(&RELEASE)),
        }
    }

    /// Runs a script: by its hash, if that is safe.
    pub(super) fn run(run: Run, operation: Operation, dialect: &Dialect) -> Self {
        // A proxy may close the connection at a script that is sent by its hash. Until it has
        // passed one, none is sent in this way whose effect must not be repeated.
        let is_repeated = match operation {
            Operation::Acquire => matches!(run, Run::AskForHolder),
            Operation::Raise | Operation::Heal => false,
            Operation::Extend | Operation::Release => true,
        };
        let by_hash = if is_repeated {
            dialect.run_by_hash.may_be_sent()
        } else {
            dialect.run_by_hash.is_known()
        };
        Self::Script(run, if by_hash { By::Hash } else { By::Code })
    }

    /// Deletes the key if it has the owner value: by a command, if the server may have one for
    /// that.
    fn delete_if_equal(operation: Operation, dialect: &Dialect) -> Self {
        match dialect.delete_if_equal() {
            Some(command) => Self::DeleteIfEqual(command),
            None => Self::run(Run::Delete, operation, dialect),
        }
    }

    /// Writes the command.
    pub(super) fn write(&self, content: &Content<'_>, command: &mut impl Arguments) {
        let entry = content.entry;
        let (name, value) = (entry.names[0].as_bytes(), entry.value.as_str().as_bytes());
        match self {
            Self::SetIfAbsent => {
                command.arg(b"SET");
                command.arg(name);
                command.arg(value);
                command.arg(b"NX");
                command.arg(b"PX");
                command.number(millis(entry.expiry));
            }
            Self::DeleteIfEqual(delete) | Self::Check(Check::DeleteIfEqual(delete, _)) => {
                delete.write(name, value, command);
            }
            // Sent as code, because this is the first script that the server sees.
            Self::Check(Check::Script) => CHECK.write_for_name(By::Code, &entry.names[0], command),
            Self::Script(run, by) => run.script().write(*by, content, command),
        }
    }

    /// The step after an error, if another command does the same; [`None`] if the error is the
    /// answer.
    pub(super) fn after(
        &self,
        error: &NodeError,
        operation: Operation,
        dialect: &Dialect,
    ) -> Result<Option<Self>, NodeError> {
        Ok(match self {
            Self::Script(run, by) => {
                let otherwise = run.script().after(*by, error);
                let is_final = otherwise.is_none() && may_do_otherwise(error);
                if is_final && operation == Operation::Release {
                    // Its user may no longer do what was checked. Further locks would stay, too.
                    dialect.forget_release();
                }
                otherwise.map(|by| Self::Script(*run, by))
            }
            _ if !may_do_otherwise(error) => None,
            // The key has another type. The script can handle that.
            Self::DeleteIfEqual(..) if is_about_the_key(error) => {
                Some(Self::run(Run::Delete, operation, dialect))
            }
            Self::DeleteIfEqual(command) => {
                dialect.delete(*command).was_refused();
                Some(Self::delete_if_equal(operation, dialect))
            }
            // The key exists, so the name is taken.
            Self::Check(Check::DeleteIfEqual(..)) if is_about_the_key(error) => {
                Some(Self::SetIfAbsent)
            }
            Self::Check(check) => Some(Self::Check(check.after(error, dialect)?)),
            Self::SetIfAbsent => None,
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
    pub(super) fn is_passed_with(&self, reply: &Reply) -> bool {
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
