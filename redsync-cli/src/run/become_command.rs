//! The last step before the command: what has to be done in its process, before it is there.

use std::{os::unix::process::CommandExt, process};

use nix::{
    sys::{prctl::set_pdeathsig, signal::Signal},
    unistd::getppid,
};

use super::command::cannot_execute;
use crate::{
    arguments::Become,
    exit::{Failure, code},
};

/// Executes the command in this process, which ends when `redsync run` ends. Returns why it could
/// not.
///
/// If `redsync run` is killed, nobody extends the lock any longer, and nobody stops the command
/// when the lock expires. So the system kills it at once, and does not ask it to end: it could take
/// longer than the lock.
pub(crate) fn become_command(arguments: &Become) -> Failure {
    if let Err(error) = set_pdeathsig(Signal::SIGKILL) {
        return Failure::system("the command cannot be tied to redsync", error);
    }
    // It may have ended before that.
    if getppid().as_raw() != arguments.parent {
        return Failure::new(code::LOST, "redsync has ended before the command began");
    }
    let words = &arguments.command;
    let error = process::Command::new(&words[0]).args(&words[1..]).exec();
    cannot_execute(words, &error)
}
