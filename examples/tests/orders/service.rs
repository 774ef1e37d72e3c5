//! The program as a process.

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

use redsync_tests::wait::{until, until_async};
use rustix::process::{Pid, Signal, kill_process};

use crate::client;

/// A generous time limit for a condition that has to hold soon.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The `RUST_LOG` of a [`Service`] whose waiting requests are logged.
pub(crate) const VERBOSE: (&str, &str) = ("RUST_LOG", "info,redsync=debug,redsync_tower=debug");

/// A running copy of the example, on a port of its own. It is killed when this is dropped.
pub(crate) struct Service {
    process: Process,
    port: u16,
}

/// A process of the example, whether or not it serves.
struct Process {
    child: Child,
    log: Arc<Mutex<String>>,
    readers: Vec<JoinHandle<()>>,
}

impl Service {
    /// Starts it with additions to the environment, and waits until it serves.
    pub(crate) async fn start(env: &[(&str, &str)]) -> Self {
        loop {
            let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
            let port = listener.local_addr().expect("an address").port();
            drop(listener);
            let number = port.to_string();
            let env: Vec<_> = env.iter().copied().chain([("PORT", &*number)]).collect();
            let mut service = Self {
                process: Process::spawn(&env),
                port,
            };
            // It prints this when it has the port.
            let serves = format!("Orders are served on http://127.0.0.1:{port}");
            let mut exited = None;
            until_async("it serves", SOON, async || {
                exited = service.process.child.try_wait().expect("a status");
                exited.is_some() || service.log().contains(&serves)
            })
            .await;
            let Some(status) = exited else {
                let healthz = async || client::get(&service, "/healthz").await.status == 200;
                until_async("it is healthy", SOON, healthz).await;
                return service;
            };
            service.process.finish();
            let log = service.log();
            // Another program has taken the port meanwhile.
            assert!(log.contains("cannot listen on"), "{status}: {log}");
        }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) const fn port(&self) -> u16 {
        self.port
    }

    /// Its output so far, on both streams.
    pub(crate) fn log(&self) -> String {
        self.process.log()
    }

    /// Waits until its log has at least this many lines that contain all of these words.
    pub(crate) async fn until_logged(&self, times: usize, words: &[&str]) {
        until_async(&format!("{words:?} in the log"), SOON, async || {
            let log = self.log();
            let has = |line: &&str| words.iter().all(|word| line.contains(word));
            log.lines().filter(has).count() >= times
        })
        .await;
    }

    /// Asks it to end, with SIGTERM.
    pub(crate) fn terminate(&self) {
        let pid = Pid::from_child(&self.process.child);
        kill_process(pid, Signal::TERM).expect("it is there");
    }

    /// Waits until it has ended.
    pub(crate) fn exit(&mut self) -> ExitStatus {
        self.process.exit()
    }

    /// Kills it with SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }
}

/// Runs the example where it cannot serve, and returns its status and output.
pub(crate) fn run(env: &[(&str, &str)]) -> (ExitStatus, String) {
    let mut process = Process::spawn(env);
    let status = process.exit();
    process.finish();
    (status, process.log())
}

impl Process {
    fn spawn(env: &[(&str, &str)]) -> Self {
        let mut command = Command::new(program());
        for name in [
            "PORT",
            "REDIS_URLS",
            "DATABASE",
            "WAIT_MS",
            "EXPIRY_MS",
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

/// The program of the example. Cargo builds the examples of a package when all its tests are run.
fn program() -> PathBuf {
    let test = env::current_exe().expect("the path of this test");
    let profile = test.ancestors().nth(2).expect("target/debug/deps/test");
    let program =
        (profile.join("examples").join("orders")).with_extension(env::consts::EXE_EXTENSION);
    assert!(
        program.exists(),
        "{} is missing: run `cargo build --example orders`, or all tests of the package",
        program.display()
    );
    program
}
