//! Lua scripts, sent by their hash.

use std::sync::OnceLock;

use super::command::Arguments;

/// A script that changes a lock, with what such scripts have in common.
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

/// A script.
pub(super) struct Script {
    code: &'static str,
    hash: OnceLock<String>,
}

/// How a script is named.
///
/// It is sent by its hash. If the server does not know it (a first use, a restart, `SCRIPT FLUSH`), it
/// is sent by its code, which teaches it. Nothing runs twice: a server that answers `NOSCRIPT` has run
/// nothing.
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

    /// Writes the beginning of the command that runs it; keys and arguments follow.
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
