//! The program of an example, as a process.

use std::{
    env,
    fmt::Write as _,
    io::{BufRead, BufReader, Read},
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::{
    stop::stop,
    wait::{until, until_async},
};

/// A generous time limit for a condition that has to hold soon.
pub const SOON: Duration = Duration::from_secs(20);

/// The settings of all examples. A program gets those that its test gives it, and not those of the
/// terminal.
const SETTINGS: &[&str] = &[
    "HOST",
    "PORT",
    "INSTANCE",
    "PEERS",
    "REDIS_URLS",
    "DATABASE",
    "WAIT_MS",
    "EXPIRY_MS",
    "KEEP_S",
    "PING_MS",
    "RUST_LOG",
    "CACHE_URL",
    "KEEP_MS",
    "WORK_MS",
    "EVERY_MS",
    "CLOCKS_MS",
    "CLOCK_AHEAD_MS",
    "STATE_URL",
];

/// A running program of an example. It is killed when this is dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Program {
    /// Starts the example with additions to the environment.
    ///
    /// # Panics
    ///
    /// If it is not built.
    #[must_use]
    pub fn start(example: &str, env: &[(&str, &str)]) -> Self {
        Self::start_with(example, &[], env)
    }

    /// Starts the example with arguments, and with additions to the environment.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    #[must_use]
    pub fn start_with(example: &str, arguments: &[&str], env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(path(example));
        command.args(arguments);
        for name in SETTINGS {
            command.env_remove(name);
        }
        let mut child = command
            .env("NO_COLOR", "1")
            .env("RUST_BACKTRACE", "0")
            .envs(env.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program can be run");
        let log = Arc::new(Mutex::new(String::new()));
        let readers = vec![
            read(child.stdout.take().expect("a pipe"), Arc::clone(&log)),
            read(child.stderr.take().expect("a pipe"), Arc::clone(&log)),
        ];
        Self {
            child,
            log,
            readers,
        }
    }

    /// Its output so far, on both streams.
    #[must_use]
    pub fn log(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.clone()
    }

    /// Waits until its log has at least this many lines that contain all of these words.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    pub async fn until_logged(&self, times: usize, words: &[&str]) {
        until_async(&format!("{words:?} in the log"), SOON, async || {
            let log = self.log();
            let has = |line: &&str| words.iter().all(|word| line.contains(word));
            log.lines().filter(has).count() >= times
        })
        .await;
    }

    /// Asks it to end, with SIGTERM.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Stops it, until it is resumed. Returns when it stands still.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn pause(&self) {
        stop(&self.child);
    }

    /// Lets it continue.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it is there");
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    pub fn exit(&mut self) -> ExitStatus {
        let mut status = None;
        until("it ends", SOON, || {
            status = self.exited();
            status.is_some()
        });
        status.expect("just seen")
    }

    /// Its status, if it has ended.
    ///
    /// # Panics
    ///
    /// If the system does not tell.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("a status")
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Its whole output. It has to have ended.
    ///
    /// # Panics
    ///
    /// If it cannot be read.
    pub fn finish(&mut self) -> String {
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader that does not panic");
        }
        self.log()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        self.kill();
        if thread::panicking() {
            eprintln!("the log of {}:\n{}", self.child.id(), self.log());
        }
    }
}

fn read(pipe: impl Read + Send + 'static, log: Arc<Mutex<String>>) -> JoinHandle<()> {
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
            writeln!(log, "{line}").expect("room");
        }
    })
}

/// The program of an example. Cargo builds the examples of a package when all its tests are run.
fn path(example: &str) -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("target/debug/deps/test");
    let program =
        (profile.join("examples").join(example)).with_extension(env::consts::EXE_EXTENSION);
    assert!(
        program.exists(),
        "{} is missing: run `cargo build --example {example}`, or all tests of the package",
        program.display()
    );
    program
}
