//! The terminal, which a command with a process group of its own does not have at first.
//!
//! A terminal sends Ctrl-C and Ctrl-Z to one process group, its *foreground*, and stops the
//! processes of others that read from it. The command begins in the background: Ctrl-C comes to
//! this process, which passes it on, so the command gets it once. When the command wants to read,
//! or to change the terminal's settings, the system stops it. Then it gets the foreground and
//! continues, and Ctrl-C comes to the command alone.
//!
//! This is what a shell does with its jobs. To the shell that has started it, this process and the
//! command are one job: if the command is stopped by Ctrl-Z, this process stops too, and continues
//! with it.

use std::fs::File;

use nix::{
    sys::signal::{SigSet, Signal, killpg},
    unistd::{Pid, getpgrp, tcgetpgrp, tcsetpgrp},
};
use tokio::signal::unix;

use super::{command::Command, signals::listen};
use crate::exit::Failure;

/// The terminal of this process, if it has one, and whether the command has the foreground.
pub(super) struct Terminal {
    terminal: Option<File>,
    foreground: Foreground,
    stop: unix::Signal,
    resume: unix::Signal,
}

/// Whether the command has the foreground.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Foreground {
    /// The command has done without it.
    Kept,
    /// The command wants it, and does not have it at present.
    Wanted,
    Given,
}

/// What the terminal, or a shell, wants of this process.
#[derive(Clone, Copy, Debug)]
pub(super) enum Request {
    Stop,
    Continue,
}

impl Terminal {
    pub(super) fn open() -> Result<Self, Failure> {
        Ok(Self {
            terminal: File::open("/dev/tty").ok(),
            foreground: Foreground::Kept,
            stop: listen(Signal::SIGTSTP)?,
            resume: listen(Signal::SIGCONT)?,
        })
    }

    /// Waits for a request.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, no request is lost.
    pub(super) async fn request(&mut self) -> Request {
        tokio::select! {
            _ = self.stop.recv() => Request::Stop,
            _ = self.resume.recv() => Request::Continue,
        }
    }

    pub(super) fn handle(&mut self, request: Request, command: &Command) {
        match request {
            // This process follows when the command has stopped. It may have reasons not to.
            Request::Stop => command.signal(Signal::SIGTSTP),
            Request::Continue => self.resume(command),
        }
    }

    /// Handles that the command was stopped by a signal.
    pub(super) fn stopped(&mut self, signal: Signal, command: &Command) {
        match signal {
            Signal::SIGTTIN | Signal::SIGTTOU => {
                self.foreground = Foreground::Wanted;
                // If a shell keeps this process in the background, the command continues with it.
                if self.is_foreground() {
                    self.resume(command);
                }
            }
            Signal::SIGTSTP if self.terminal.is_some() => {
                self.take_back();
                // The whole job, as Ctrl-Z would have done it. Not by SIGTSTP, which this process
                // handles, nor by SIGSTOP, which stops it even if no shell is there to continue it.
                let _ = killpg(getpgrp(), Signal::SIGTTOU);
                self.resume(command);
            }
            // A person has stopped the command alone, and will continue it.
            _ => {}
        }
    }

    /// Gives the foreground to the command if it wants it, and continues the command.
    fn resume(&mut self, command: &Command) {
        let is_wanted = self.foreground == Foreground::Wanted;
        if is_wanted && self.is_foreground() && self.set_foreground(command.group()) {
            self.foreground = Foreground::Given;
        }
        command.signal(Signal::SIGCONT);
    }

    /// Takes the foreground back, if the command has it.
    pub(super) fn take_back(&mut self) {
        if self.foreground == Foreground::Given {
            self.set_foreground(getpgrp());
            self.foreground = Foreground::Wanted;
        }
    }

    fn is_foreground(&self) -> bool {
        let foreground = (self.terminal.as_ref()).and_then(|it| tcgetpgrp(it).ok());
        foreground == Some(getpgrp())
    }

    fn set_foreground(&self, group: Pid) -> bool {
        let Some(terminal) = &self.terminal else {
            return false;
        };
        // The terminal would stop this process for that if it is in the background.
        let mut refused = SigSet::empty();
        refused.add(Signal::SIGTTOU);
        let is_blocked = refused.thread_block().is_ok();
        let is_set = is_blocked && tcsetpgrp(terminal, group).is_ok();
        let _ = refused.thread_unblock();
        is_set
    }
}
