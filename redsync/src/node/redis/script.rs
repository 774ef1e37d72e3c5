//! Lua scripts: their keys and arguments, and the two ways to send them.

use std::{sync::OnceLock, time::Duration};

use self::Argument::{
    Expiry, Kept, Mode, Names, NextFor, NextForAtMost, Retention, SetIfAbsent, Stride, Token, Value,
};
use super::{command::Arguments, content::Content, dialect::may_do_otherwise};
use crate::{
    fence::{RETENTION, STRIDE},
    node::{EXCLUSIVE_NEXT, EXCLUSIVE_NEXT_AT_MOST, NodeError, Operation},
};

/// Loads a script that changes a lock, after the prelude that such scripts have in common.
macro_rules! script {
    ($name:literal, $arguments:expr) => {
        Script::new(
            concat!(
                include_str!("prelude.lua"),
                include_str!(concat!($name, ".lua"))
            ),
            $arguments,
        )
    };
}

pub(super) static ACQUIRE: Script = script!(
    "acquire",
    &[
        Value,
        Expiry,
        Names,
        Stride,
        Retention,
        NextFor,
        NextForAtMost
    ]
);
pub(super) static SHARE: Script = script!("share", &[Value, Expiry]);
pub(super) static RAISE: Script = script!("raise", &[Value, Token, Names, Retention]);
pub(super) static EXTEND: Script = script!(
    "extend",
    &[Value, Expiry, Names, Mode, SetIfAbsent, Token, Retention]
);
pub(super) static RELEASE: Script = script!("release", &[Value, Mode, NextFor, Kept]);
pub(super) static CHECK: Script = Script::new(include_str!("check.lua"), &[]);
pub(super) static EXPIRE: Script =
    Script::new(include_str!("expire.lua"), &[Value, Expiry, SetIfAbsent]);
pub(super) static DELETE: Script = Script::new(include_str!("delete.lua"), &[Value, Kept]);
pub(super) static INSPECT: Script = Script::new(include_str!("inspect.lua"), &[]);

/// A Lua script.
pub(super) struct Script {
    code: &'static str,
    arguments: &'static [Argument],
    hash: OnceLock<String>,
}

/// An argument of a script, in its `ARGV`.
enum Argument {
    /// The owner value.
    Value,
    /// The expiry in ms.
    Expiry,
    /// How many of the keys are names. The others are counters.
    Names,
    /// `exclusive` or `shared`.
    Mode,
    /// 1 to set missing names, else 0.
    SetIfAbsent,
    /// The fencing token, or an empty text.
    Token,
    /// By how much a counter grows.
    Stride,
    /// How long a counter is kept, in ms.
    Retention,
    /// For how many ms the names are kept after their release.
    Kept,
    /// For how many ms at least an exclusive acquisition that is kept out by shared holders is next.
    /// Zero if it is not repeated.
    NextFor,
    /// For how many ms at most it is next.
    NextForAtMost,
}

/// How a script is sent.
///
/// First it is sent by its hash. If the server does not know the script (at its first use, after a
/// restart or after `SCRIPT FLUSH`), it answers `NOSCRIPT` and runs nothing. Then the script is
/// sent as code, and the server keeps it. It is also sent as code if the server refuses `EVALSHA`
/// itself. So no script runs twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Hash,
    Code,
}

impl Script {
    const fn new(code: &'static str, arguments: &'static [Argument]) -> Self {
        Self {
            code,
            arguments,
            hash: OnceLock::new(),
        }
    }

    /// How to send the script after it was refused, if another way may help.
    pub(super) fn after(&self, by: By, error: &NodeError) -> Option<By> {
        (by == By::Hash && may_do_otherwise(error) && !self.has_run(error)).then_some(By::Code)
    }

    /// Whether the error is one of the running script. Such errors name it by its hash.
    fn has_run(&self, error: &NodeError) -> bool {
        let NodeError::Refused { message, .. } = error else {
            return false;
        };
        let names = |prefix| message.contains(&format!("{prefix}{}", self.hash()));
        names("script: ") || names("f_")
    }

    fn hash(&self) -> &str {
        self.hash
            .get_or_init(|| sha1_smol::Sha1::from(self.code).digest().to_string())
    }

    /// Writes the command that runs the script for the content of a question.
    pub(super) fn write(&self, by: By, content: &Content<'_>, command: &mut impl Arguments) {
        let &Content {
            operation,
            entry,
            token,
            kept,
        } = content;
        let has_counters = match operation {
            Operation::Acquire => entry.fenced,
            Operation::Raise | Operation::Extend | Operation::Heal => token.is_some(),
            Operation::Release => false,
        };
        let names = entry.names.len();
        self.write_head(by, if has_counters { 2 * names } else { names }, command);
        for name in entry.names.iter() {
            command.arg(name.as_bytes());
        }
        if has_counters {
            for name in entry.names.iter() {
                command.arg(counter_key(name).as_bytes());
            }
        }
        for argument in self.arguments {
            match argument {
                Value => command.arg(entry.value.as_str().as_bytes()),
                Expiry => command.number(millis(entry.expiry)),
                Names => command.number(names as u64),
                Mode => command.arg(entry.mode.as_str().as_bytes()),
                SetIfAbsent => command.number((operation == Operation::Heal).into()),
                Token => match token {
                    Some(token) => command.number(token.get()),
                    None => command.arg(b""),
                },
                Stride => command.number(STRIDE),
                // Rounded up: zero would delete the key.
                Kept => command.number(millis(kept + Duration::from_nanos(999_999))),
                Retention => command.number(millis(RETENTION)),
                NextFor if entry.repeated => command.number(millis(EXCLUSIVE_NEXT)),
                NextFor => command.number(0),
                NextForAtMost => command.number(millis(EXCLUSIVE_NEXT_AT_MOST)),
            }
        }
    }

    /// Writes the command that runs a script with one name as its only key, and without arguments.
    pub(super) fn write_for_name(&self, by: By, name: &str, command: &mut impl Arguments) {
        self.write_head(by, 1, command);
        command.arg(name.as_bytes());
    }

    fn write_head(&self, by: By, keys: usize, command: &mut impl Arguments) {
        match by {
            By::Hash => {
                command.arg(b"EVALSHA");
                command.arg(self.hash().as_bytes());
            }
            By::Code => {
                command.arg(b"EVAL");
                command.arg(self.code.as_bytes());
            }
        }
        command.number(keys as u64);
    }
}

/// The key of a name's counter.
///
/// In a cluster it has to be in the slot of the name. The slot depends on the part of the name in
/// its first `{...}`, or on the whole name if it has none (redis.io, "Redis cluster
/// specification"). A name that contains `}` or `{}` but no such part has no suitable key: a
/// cluster refuses to fence it, with the error `CROSSSLOT`.
pub(super) fn counter_key(name: &str) -> String {
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
pub(super) const fn millis(duration: Duration) -> u64 {
    duration.as_millis() as u64
}
