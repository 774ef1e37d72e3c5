//! The program of an example, as a process.

use std::{
    env,
    fmt::Write as _,
    io::{BufRead, BufReader, Read},
    net::TcpListener,
    path::PathBuf,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread::{self, JoinHandle},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};

use crate::wait::{until, until_async};

/// A generous time limit for a condition that has to hold soon.
const SOON: Duration = Duration::from_secs(20);

/// A running copy of an example, on a port of its own. It is killed when this is dropped.
#[derive(Debug)]
pub struct Service {
    process: Process,
    port: u16,
}

/// A process of an example, whether or not it serves.
#[derive(Debug)]
struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Service {
    /// Starts the example with additions to the environment, and waits until it has its port.
    ///
    /// # Panics
    ///
    /// If it ends instead, or prints no URL with its port.
    pub async fn start(example: &str, env: &[(&str, &str)]) -> Self {
        loop {
            let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
            let port = listener.local_addr().expect("an address").port();
            drop(listener);
            let number = port.to_string();
            let env: Vec<_> = env.iter().copied().chain([("PORT", &*number)]).collect();
            let mut service = Self {
                process: Process::spawn(example, &env),
                port,
            };
            // It prints this when it has the port.
            let serves = format!("on http://127.0.0.1:{port}");
            let mut exited = None;
            until_async("it serves", SOON, async || {
                exited = service.process.child.try_wait().expect("a status");
                exited.is_some() || service.log().contains(&serves)
            })
            .await;
            let Some(status) = exited else {
                return service;
            };
            service.process.finish();
            let log = service.log();
            // Another program has taken the port meanwhile.
            assert!(log.contains("cannot listen on"), "{status}: {log}");
        }
    }

    /// The URL of a path.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The port that it listens on.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Its output so far, on both streams.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
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

    /// Stops it, until it is resumed.
    ///
    /// # Panics
    ///
    /// If it has ended.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
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
        let pid = Pid::from_child(&self.process.child);
        kill_process(pid, signal).expect("it is there");
    }

    /// Waits until it has ended.
    ///
    /// # Panics
    ///
    /// If that takes too long.
    pub fn exit(&mut self) -> ExitStatus {
        self.process.exit()
    }

    /// Kills it with SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Runs the example where it cannot serve, and returns its status and output.
    ///
    /// # Panics
    ///
    /// If it does not end.
    #[must_use]
    pub fn fails(example: &str, env: &[(&str, &str)]) -> (ExitStatus, String) {
        let mut process = Process::spawn(example, env);
        let status = process.exit();
        process.finish();
        (status, process.log())
    }
}

impl Process {
    fn spawn(example: &str, env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program(example));
        for name in [
            "PORT",
            "REDIS_URLS",
            "DATABASE",
            "WAIT_MS",
            "EXPIRY_MS",
            "KEEP_S",
            "PING_MS",
            "RUST_LOG",
        ] {
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

    fn log(&self) -> String {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.clone()
    }

    fn exit(&mut self) -> ExitStatus {
        let mut status = None;
        until("it ends", SOON, || {
            status = self.child.try_wait().expect("a status");
            status.is_some()
        });
        status.expect("just seen")
    }

    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Reads its output to the end.
    fn finish(&mut self) {
        for reader in self.readers.drain(..) {
            reader.join().expect("a reader that does not panic");
        }
    }
}

impl Drop for Process {
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
fn program(example: &str) -> PathBuf {
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
