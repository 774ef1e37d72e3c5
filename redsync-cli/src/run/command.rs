//! The command: a process, with a process group of its own.

use std::{
    ffi::OsString,
    io,
    os::unix::process::CommandExt,
    process,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::{
    errno::Errno,
    sys::{
        signal::{Signal, killpg},
        wait::{WaitPidFlag, WaitStatus, waitpid},
    },
    unistd::Pid,
};
use redsync::Guard;
use tokio::{
    signal::unix,
    time::{Instant, sleep},
};

use super::signals::listen;
use crate::exit::{Failure, code};

/// How often it is looked whether a process group has ended.
const PACE: Duration = Duration::from_millis(10);

/// A command that runs. Its process id is also the id of its process group.
pub(super) struct Command {
    pid: Pid,
    /// Says that a child has ended or stopped.
    child: unix::Signal,
}

/// What has happened to the command.
#[derive(Clone, Copy, Debug)]
pub(super) enum Change {
    /// It has ended with this exit code.
    Exited(u8),
    Killed(Signal),
    Stopped(Signal),
}

impl Command {
    /// Starts the command. Its stdin, stdout and stderr are those of this process.
    pub(super) fn start(
        words: &[OsString],
        names: &[String],
        guard: &Guard,
    ) -> Result<Self, Failure> {
        let child = listen(Signal::SIGCHLD)?;
        let mut command = command(words);
        command
            // All processes of the command can be stopped, and no others.
            .process_group(0)
            .env("REDSYNC_NAME", names.join("\n"))
            .env("REDSYNC_UNTIL", until(guard).to_string());
        match guard.fencing_token() {
            Some(token) => command.env("REDSYNC_FENCING_TOKEN", token.to_string()),
            // That of another lock, under which this process runs.
            None => command.env_remove("REDSYNC_FENCING_TOKEN"),
        };
        let process = command
            .spawn()
            .map_err(|error| cannot_execute(words, &error))?;
        let pid = process.id().try_into().map(Pid::from_raw);
        Ok(Self {
            pid: pid.map_err(|error| Failure::system("no process id", error))?,
            child,
        })
    }

    /// The process group.
    pub(super) const fn group(&self) -> Pid {
        self.pid
    }

    /// Waits until something has happened to the command.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped, nothing that has happened is lost.
    pub(super) async fn changed(&mut self) -> Change {
        loop {
            let flags = WaitPidFlag::WNOHANG | WaitPidFlag::WUNTRACED;
            match waitpid(self.pid, Some(flags)) {
                // Only the low eight bits are passed on by the system.
                Ok(WaitStatus::Exited(_, code)) => return Change::Exited(code as u8),
                Ok(WaitStatus::Signaled(_, signal, _)) => return Change::Killed(signal),
                Ok(WaitStatus::Stopped(_, signal)) => return Change::Stopped(signal),
                Err(Errno::EINTR) => {}
                // Nothing has happened since the last signal. (There is no other error: the child
                // is there, and nobody else waits for it.)
                _ => drop(self.child.recv().await),
            }
        }
    }

    /// Sends a signal to all processes of the command.
    pub(super) fn signal(&self, signal: Signal) {
        // They may all have ended.
        let _ = killpg(self.pid, signal);
    }

    /// Waits until all processes of the command have ended, up to `deadline`.
    pub(super) async fn all_ended(&self, deadline: Instant) {
        while Instant::now() < deadline && killpg(self.pid, None) != Err(Errno::ESRCH) {
            sleep(PACE).await;
        }
    }
}

/// On Linux, the command is started by way of this program, so that the system kills it if this
/// process is killed: see [`become_command`](super::become_command()).
#[cfg(target_os = "linux")]
fn command(words: &[OsString]) -> process::Command {
    /// This program, even if its file has been replaced.
    const ITSELF: &str = "/proc/self/exe";

    if !std::path::Path::new(ITSELF).exists() {
        return direct(words);
    }
    let mut command = process::Command::new(ITSELF);
    command
        .arg("become")
        .arg(process::id().to_string())
        .arg("--")
        .args(words);
    command
}

#[cfg(not(target_os = "linux"))]
fn command(words: &[OsString]) -> process::Command {
    direct(words)
}

fn direct(words: &[OsString]) -> process::Command {
    let mut command = process::Command::new(&words[0]);
    command.args(&words[1..]);
    command
}

/// The failure to execute the command, with the exit code that shells have for it.
pub(super) fn cannot_execute(words: &[OsString], error: &io::Error) -> Failure {
    let code = match error.kind() {
        io::ErrorKind::NotFound => code::NOT_FOUND,
        _ => code::NOT_EXECUTABLE,
    };
    let program = words[0].to_string_lossy();
    Failure::new(code, format!("`{program}` cannot be executed: {error}"))
}

/// The time up to which the lock is valid, in seconds since 1970.
fn until(guard: &Guard) -> u64 {
    let until = SystemTime::now() + guard.remaining();
    until
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}
