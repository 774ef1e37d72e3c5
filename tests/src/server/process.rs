//! A running `redis-server`.

use std::{
    env, fs, io,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::OnceLock,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::stop::stop;

/// The environment variable with the directory that has a file for each running server.
const PIDS: &str = "REDSYNC_TEST_PIDS";

/// A child process that is killed and reaped when dropped.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    pid_file: Option<PathBuf>,
    stopped: bool,
}

impl Process {
    pub(super) fn spawn(command: &mut Command) -> Self {
        let child = command
            .stdin(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| cannot_run(&error));
        let mut process = Self {
            child,
            pid_file: None,
            stopped: false,
        };

        if let Some(dir) = env::var_os(PIDS) {
            let file = PathBuf::from(dir).join(format!("{}.pid", process.pid()));
            fs::write(&file, format!("{}\n", process.pid()))
                .unwrap_or_else(|error| panic!("cannot write {}: {error}", file.display()));
            process.pid_file = Some(file);
        }
        process
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Its status, if it has ended by itself.
    pub(super) fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("status of a child")
    }

    /// Returns when all threads of the process are stopped.
    pub(super) fn stop(&mut self) {
        // The system reports a stop only once.
        if self.stopped {
            return;
        }

        stop(&self.child);
        self.stopped = true;
    }

    pub(super) fn resume(&mut self) {
        self.signal(Signal::CONT);
        self.stopped = false;
    }

    fn signal(&self, signal: Signal) {
        kill_process(self.system_pid(), signal)
            .unwrap_or_else(|error| panic!("cannot signal redis-server: {error}"));
    }

    fn system_pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // This kills a stopped process too. The process is not continued before: it would carry out
        // the commands that have come in since.
        let _ = self.child.kill();
        let reaped = self.child.wait().is_ok();
        if let (true, Some(file)) = (reaped, &self.pid_file) {
            let _ = fs::remove_file(file);
        }
    }
}

/// The program to run.
pub(super) fn binary() -> String {
    env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

/// Whether `DEBUG` has to be enabled. Servers before 7.0 always have it, and lack the option.
pub(super) fn locks_debug() -> bool {
    static LOCKS: OnceLock<bool> = OnceLock::new();

    *LOCKS.get_or_init(|| {
        let output = Command::new(binary())
            .arg("--version")
            .output()
            .unwrap_or_else(|error| cannot_run(&error));
        let output = String::from_utf8_lossy(&output.stdout);
        let major = output
            .split_once("v=")
            .and_then(|(_, version)| version.split('.').next()?.parse::<u32>().ok());
        major.is_some_and(|major| major >= 7)
    })
}

fn cannot_run(error: &io::Error) -> ! {
    panic!(
        "cannot run `{}`: {error} (run ./tests/run, or install redis-server)",
        binary()
    )
}
