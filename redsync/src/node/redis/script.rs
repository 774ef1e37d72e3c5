//! Lua scripts, which are sent by their hash.

use std::sync::OnceLock;

use super::command::Arguments;

/// Loads a script that changes a lock, after the prelude that such scripts have in common.
macro_rules! script {
    ($name:literal) => {
        Script::new(concat!(
            include_str!("prelude.lua"),
            include_str!(concat!($name, ".lua"))
        ))
    };
}

pub(super) static ACQUIRE: Script = script!("acquire");
pub(super) static SHARE: Script = script!("share");
pub(super) static RAISE: Script = script!("raise");
pub(super) static EXTEND: Script = script!("extend");
pub(super) static RELEASE: Script = script!("release");
pub(super) static DELETE: Script = Script::new(include_str!("delete.lua"));
pub(super) static INSPECT: Script = Script::new(include_str!("inspect.lua"));

/// A Lua script.
pub(super) struct Script {
    code: &'static str,
    hash: OnceLock<String>,
}

/// How a script is sent.
///
/// First it is sent by its hash. If the server does not know the script (at its first use, after a
/// restart or after `SCRIPT FLUSH`), it answers `NOSCRIPT` and runs nothing. Then the script is
/// sent as code, and the server keeps it. So no script runs twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Hash,
    Code,
}

impl Script {
    const fn new(code: &'static str) -> Self {
        Self {
            code,
            hash: OnceLock::new(),
        }
    }

    fn hash(&self) -> &str {
        self.hash
            .get_or_init(|| sha1_smol::Sha1::from(self.code).digest().to_string())
    }

    /// Writes the beginning of the command that runs the script. Keys and arguments have to follow.
    pub(super) fn write(&self, by: By, keys: usize, command: &mut impl Arguments) {
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
