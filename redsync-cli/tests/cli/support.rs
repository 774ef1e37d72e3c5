//! Processes of `redsync`.

use std::{
    fs::{self, File},
    os::unix::process::ExitStatusExt,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill, killpg},
    unistd::Pid,
};
use redsync_tests::{Servers, stop::stop, wait::until};
use tempfile::TempDir;

/// For what happens at once, on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(20);

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_redsync");

/// A script that says that it has begun, and does not end.
pub(crate) const ENDLESS: &str = "echo begun; while :; do sleep 0.05; done";

/// The program with its nodes, which has not started. Unless the arguments say how long it waits for an answer,
/// it waits for so long that a busy machine is no reason to fail.
pub(crate) fn redsync(servers: &Servers, arguments: &[&str]) -> Command {
    let (subcommand, rest) = arguments.split_first().unwrap();
    let mut arguments = vec![*subcommand];
    if !rest.contains(&"--node-timeout") {
        arguments.extend(["--node-timeout", "5s"]);
    }
    arguments.extend(rest);
    redsync_at(&servers.urls().join(","), &arguments)
}

pub(crate) fn redsync_at(urls: &str, arguments: &[&str]) -> Command {
    // A program in the background of a script, or under `nohup`, ignores signals, and so would the tests'.
    let mut command = Command::new("env");
    command.arg("--default-signal").arg(PROGRAM);
    command.env("REDSYNC_NODES", urls).args(arguments);
    command
}

/// Runs the program to its end.
#[track_caller]
pub(crate) fn ends(servers: &Servers, arguments: &[&str]) -> Ended {
    Running::start(redsync(servers, arguments)).ended()
}

/// A process whose output is in files.
pub(crate) struct Running {
    child: Child,
    home: TempDir,
}

/// What is left of a process.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Running {
    pub(crate) fn start(command: Command) -> Self {
        Self::start_with(command, Stdio::null())
    }

    pub(crate) fn start_with(command: Command, stdin: Stdio) -> Self {
        Self::start_on(command, stdin, None)
    }

    /// Starts it with a stderr to which nothing can be written, as after its terminal was closed.
    pub(crate) fn start_unheard(command: Command) -> Self {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        Self::start_on(command, Stdio::null(), Some(writer.into()))
    }

    fn start_on(mut command: Command, stdin: Stdio, stderr: Option<Stdio>) -> Self {
        let home = tempfile::tempdir().unwrap();
        let file = |name| File::create(home.path().join(name)).unwrap();
        let errors = file("stderr").into();
        let child = command
            .stdin(stdin)
            .stdout(file("stdout"))
            .stderr(stderr.unwrap_or(errors))
            .spawn()
            .unwrap();
        Self { child, home }
    }

    /// Starts `redsync run` with a script for the shell, and waits until the script has said that it has
    /// begun.
    #[track_caller]
    pub(crate) fn begun(servers: &Servers, options: &[&str], script: &str) -> Self {
        let mut arguments = vec!["run"];
        arguments.extend(options);
        arguments.extend(["--", "sh", "-c", script]);
        let running = Self::start(redsync(servers, &arguments));
        running.until_says("begun");
        running
    }

    pub(crate) fn pid(&self) -> Pid {
        Pid::from_raw(self.child.id().try_into().unwrap())
    }

    /// Stops it, and returns when it stands still.
    pub(crate) fn stop(&self) {
        stop(&self.child);
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(self.pid(), signal).unwrap();
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(crate) fn stdout(&self) -> String {
        fs::read_to_string(self.path("stdout")).unwrap()
    }

    pub(crate) fn stderr(&self) -> String {
        fs::read_to_string(self.path("stderr")).unwrap()
    }

    #[track_caller]
    pub(crate) fn until_says(&self, words: &str) {
        let what = format!("{words:?} in the output");
        until(&what, SOON, || self.stdout().contains(words));
    }

    pub(crate) fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Kills it with SIGKILL, and nothing else.
    pub(crate) fn kill(mut self) -> Ended {
        self.child.kill().unwrap();
        self.ended()
    }

    #[track_caller]
    pub(crate) fn ended(mut self) -> Ended {
        let mut status = None;
        until("the end of the process", SOON, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        Ended {
            status: status.unwrap(),
            stdout: self.stdout(),
            stderr: self.stderr(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // On Linux its command ends with it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Ended {
    #[track_caller]
    pub(crate) fn code(&self) -> i32 {
        let code = self.status.code();
        code.unwrap_or_else(|| panic!("it was killed by {:?}: {self:?}", self.status.signal()))
    }

    #[track_caller]
    pub(crate) fn assert_code(&self, code: i32) {
        assert_eq!(self.code(), code, "{self:?}");
    }
}

/// Waits until no process is left in a process group.
#[track_caller]
pub(crate) fn until_group_ended(group: i32) {
    until("the end of the process group", SOON, || {
        killpg(Pid::from_raw(group), None).is_err()
    });
}

/// The number in the line of an output that begins with this word.
#[track_caller]
pub(crate) fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(output: &str, word: &str) -> T {
    let line = output.lines().find_map(|line| line.strip_prefix(word));
    line.unwrap_or_else(|| panic!("{word} in {output}"))
        .trim()
        .parse()
        .unwrap()
}

/// Waits until all servers have the key.
#[track_caller]
pub(crate) fn until_held(servers: &Servers, name: &str) {
    until("the lock is held", SOON, || {
        servers.holders(name).iter().all(Option::is_some)
    });
}

/// Waits until no server has the key.
#[track_caller]
pub(crate) fn until_free(servers: &Servers, name: &str) {
    until("the lock is free", SOON, || {
        servers.holders(name).iter().all(Option::is_none)
    });
}
