//! Exit codes, and the failures that they stand for.

use std::fmt;

use nix::sys::signal::Signal;
use redsync::{ConfigError, LockError};

/// What each exit code means, for `--help` and the README.
pub(crate) const CODES: &str = "\
Exit codes:
    N  that of the command, or 128 + n if signal n has ended it
    1  the question whether to release a lock was answered with no
   64  the arguments or the options are wrong
   65  a key with the name is not a lock, and something else uses it
   69  too few nodes answered, or they answered too late
   71  a request to the operating system failed
   75  another holder has the lock (--conflict-exit-code)
   79  the lock was lost before the command ended
  126  the command cannot be executed
  127  the command was not found";

/// The exit codes of redsync itself. Those from 64 to 78 are those of BSD's `sysexits.h`, those
/// from 126 are those of shells.
pub(crate) mod code {
    pub(crate) const DECLINED: u8 = 1;
    pub(crate) const USAGE: u8 = 64;
    pub(crate) const NOT_A_LOCK: u8 = 65;
    pub(crate) const UNAVAILABLE: u8 = 69;
    pub(crate) const SYSTEM: u8 = 71;
    pub(crate) const CONTENTION: u8 = 75;
    pub(crate) const LOST: u8 = 79;
    pub(crate) const NOT_EXECUTABLE: u8 = 126;
    pub(crate) const NOT_FOUND: u8 = 127;
}

/// The exit code if a signal has ended the command, as shells have it.
pub(crate) const fn of_signal(signal: Signal) -> u8 {
    // The numbers of signals are small enough that nothing is cut off.
    (128 + signal as i32) as u8
}

/// Why redsync did not do what it was asked for.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) code: u8,
    message: String,
}

impl Failure {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { code, message }
    }

    /// The failure of a request to the operating system.
    pub(crate) fn system(what: &str, error: impl fmt::Display) -> Self {
        Self::new(code::SYSTEM, format!("{what}: {error}"))
    }

    /// The failure to acquire a lock.
    pub(crate) fn lock(error: &LockError, contention: u8) -> Self {
        let code = match error {
            _ if error.is_contention() => contention,
            LockError::Config(_) | LockError::Value(_) => code::USAGE,
            LockError::NotALock(_) => code::NOT_A_LOCK,
            _ => code::UNAVAILABLE,
        };
        Self::new(code, error.to_string())
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(code::USAGE, error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}
