//! Real `redis-server` processes.

use std::{
    fmt,
    fs::{self, File},
    path::PathBuf,
    process::Command,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, RedisResult, Value, aio::MultiplexedConnection,
};
use tempfile::TempDir;

use crate::ports;

mod control;
mod process;
mod several;
#[cfg(test)]
mod tests;

use control::Control;
use process::Process;
pub use several::Servers;

/// A script that does what go-redsync's `Unlock` does on a node, with a name and an owner value.
pub const UNLOCK_OF_GO: &str = r#"
    local val = redis.call("GET", KEYS[1])
    if val == ARGV[1] then
        return redis.call("DEL", KEYS[1])
    elseif val == false then
        return -1
    else
        return 0
    end"#;

/// How long a server may take to answer after its start.
const START: Duration = Duration::from_secs(60);

/// How long a started server may take to reply.
const REPLY: Duration = Duration::from_secs(10);

/// How long one check that a server has started may take. If another program has taken its port, it
/// may never reply.
const PROBE: Duration = Duration::from_millis(500);

/// A Redis server for one test: on its own port, in its own temporary directory, and without
/// persistence unless asked for.
///
/// The process is killed and reaped when this is dropped. A `static` is never dropped, so don't
/// keep one there.
///
/// Its binary is `redis-server`, or what the environment variable `REDIS_SERVER` says.
pub struct RedisServer {
    port: u16,
    args: Vec<String>,
    password: Option<String>,
    control: Control,
    // Before the directory, to be gone when that is removed.
    process: Mutex<Option<Process>>,
    home: TempDir,
}

/// Another process listens on the port.
struct PortTaken;

/// What to wait for after a start.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    Loaded,
    /// It may still answer with `LOADING`.
    Answering,
}

impl RedisServer {
    /// Starts a server and waits until it answers.
    ///
    /// # Panics
    ///
    /// If there is no `redis-server` to run, or if it exits or does not answer within 10 s; the
    /// message then has the end of its log.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// Starts a server with additional arguments, such as `["--requirepass", "secret"]`, and waits
    /// until it answers, even with an error such as `NOAUTH`.
    ///
    /// # Panics
    ///
    /// As [`RedisServer::start`].
    #[must_use]
    pub fn start_with(args: &[&str]) -> Self {
        let mut server = Self::spawn(args);
        server.settle();
        server
    }

    /// The port on 127.0.0.1. It stays the same over restarts.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// `redis://127.0.0.1:PORT`, without the password.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    /// A connection of redis-rs. It has no time limit of its own, because the machine may be slow.
    ///
    /// # Panics
    ///
    /// If the server cannot be reached.
    pub async fn connection(&self) -> MultiplexedConnection {
        let client = Client::open(self.url()).expect("a URL");
        let config = AsyncConnectionConfig::new().set_response_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&config);
        connection.await.expect("a connection")
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// The id of its process, `None` while it is killed.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process().as_ref().map(Process::pid)
    }

    /// Kills the process with SIGKILL, if there is one, and reaps it.
    ///
    /// Clients have their connections closed, and are refused from then on.
    pub fn kill(&self) {
        self.process().take();
        self.control.disconnect();
    }

    /// Stops the process with SIGSTOP and returns when it is stopped.
    ///
    /// The system still accepts connections and bytes for it. Replies that it had sent before may
    /// still reach their clients.
    ///
    /// # Panics
    ///
    /// If it is killed.
    pub fn stop(&self) {
        self.process().as_mut().expect("a server to stop").stop();
    }

    /// Lets a stopped process go on. It then handles what has been sent to it in the meantime.
    ///
    /// # Panics
    ///
    /// If it is killed.
    pub fn cont(&self) {
        self.process()
            .as_mut()
            .expect("a server to continue")
            .resume();
    }

    /// Kills the server if it is alive, starts it again on the same port in the same directory, and
    /// waits until it has loaded its data.
    ///
    /// Its data are lost unless it was started with `--appendonly yes`.
    ///
    /// # Panics
    ///
    /// As [`RedisServer::start`], and if the port was lost to another process.
    pub fn restart(&self) {
        self.kill();
        self.start_again(Until::Loaded);
    }

    /// As [`restart`](Self::restart), but returns as soon as the server answers. It then answers
    /// with `LOADING`, provided that there is enough to load. `--key-load-delay`, with the
    /// microseconds for each key, makes loading take longer.
    ///
    /// # Panics
    ///
    /// As [`restart`](Self::restart).
    pub fn restart_loading(&self) {
        self.kill();
        self.start_again(Until::Answering);
    }

    /// As [`restart`](Self::restart), but always without data.
    ///
    /// # Panics
    ///
    /// As [`restart`](Self::restart).
    pub fn restart_empty(&self) {
        self.kill();
        fs::remove_dir_all(self.data()).expect("remove a server's data");
        fs::create_dir(self.data()).expect("make a server's directory");
        self.start_again(Until::Loaded);
    }

    /// Removes all keys.
    ///
    /// # Panics
    ///
    /// As [`command`](Self::command).
    pub fn flush(&self) {
        self.command(&["FLUSHALL"]);
    }

    /// Runs a command on a separate connection, which is made when it is first needed and again
    /// after a restart. The password of `--requirepass` is sent on it.
    ///
    /// # Panics
    ///
    /// If the reply is an error, or if the server is killed or stopped.
    #[track_caller]
    pub fn command(&self, words: &[&str]) -> Value {
        self.try_command(words)
            .unwrap_or_else(|error| panic!("{words:?} on {}: {error}", self.address()))
    }

    /// As [`command`](Self::command), for a command that is expected to fail.
    ///
    /// # Errors
    ///
    /// If the reply is an error, or if the server is killed.
    ///
    /// # Panics
    ///
    /// If the server is stopped.
    #[track_caller]
    pub fn try_command(&self, words: &[&str]) -> RedisResult<Value> {
        assert!(
            self.pid().is_none() || self.is_answering(),
            "{words:?} on {}: the server is stopped",
            self.address()
        );
        self.control.run(self.port, words)
    }

    /// As [`command`](Self::command), with the reply converted.
    ///
    /// # Panics
    ///
    /// As [`command`](Self::command), and if the reply is of another type.
    #[track_caller]
    pub fn query<T: FromRedisValue>(&self, words: &[&str]) -> T {
        T::from_redis_value(self.command(words))
            .unwrap_or_else(|error| panic!("{words:?} on {}: {error}", self.address()))
    }

    /// A figure of the `INFO` command, such as `tracking_total_keys`; or how often a command was
    /// called, such as `cmdstat_exists`. A figure that is not there is 0.
    ///
    /// # Panics
    ///
    /// As [`query`](Self::query), and if it is not a whole number.
    #[must_use]
    #[track_caller]
    pub fn info(&self, field: &str) -> u64 {
        let figures: String = self.query(&["INFO", "all"]);
        let figures = figures.replace(":calls=", ":").replace(',', "\n");
        let figure = figures
            .lines()
            .find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        figure.map_or(0, |it| it.trim().parse().expect("a whole number"))
    }

    /// The string at `key`.
    ///
    /// # Panics
    ///
    /// As [`query`](Self::query).
    #[must_use]
    #[track_caller]
    pub fn get(&self, key: &str) -> Option<String> {
        self.query(&["GET", key])
    }

    /// The remaining time of `key` in milliseconds: -1 if it does not expire, -2 if there is no
    /// such key.
    ///
    /// # Panics
    ///
    /// As [`query`](Self::query).
    #[must_use]
    #[track_caller]
    pub fn pttl(&self, key: &str) -> i64 {
        self.query(&["PTTL", key])
    }

    /// All keys, sorted.
    ///
    /// # Panics
    ///
    /// As [`query`](Self::query).
    #[must_use]
    #[track_caller]
    pub fn keys(&self) -> Vec<String> {
        let mut keys: Vec<String> = self.query(&["KEYS", "*"]);
        keys.sort();
        keys
    }

    /// Starts the process without waiting for it.
    fn spawn(args: &[&str]) -> Self {
        let password = args
            .windows(2)
            .find(|pair| pair[0] == "--requirepass")
            .map(|pair| pair[1].to_owned());
        let server = Self {
            port: ports::free(),
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            control: Control::new(password.clone(), REPLY),
            password,
            process: Mutex::new(None),
            home: tempfile::Builder::new()
                .prefix("redsync-redis-")
                .tempdir()
                .expect("make a temporary directory"),
        };
        fs::create_dir(server.data()).expect("make a server's directory");
        server.launch();
        server
    }

    /// Waits until the server answers, on another port if another program has taken its own.
    fn settle(&mut self) {
        while self.wait(Until::Loaded).is_err() {
            self.kill();
            self.port = ports::free();
            self.launch();
        }
    }

    fn start_again(&self, until: Until) {
        let deadline = Instant::now() + START;
        self.launch();
        while self.wait(until).is_err() {
            self.kill();
            assert!(
                Instant::now() < deadline,
                "port {} was lost to another process",
                self.port
            );
            self.launch();
        }
    }

    fn launch(&self) {
        let log = File::create(self.log()).expect("make a server's log");
        let mut command = Command::new(process::binary());
        command
            .args(["--bind", "127.0.0.1", "--daemonize", "no", "--save", ""])
            .args(["--appendonly", "no", "--port", &self.port.to_string()])
            .arg("--dir")
            .arg(self.data())
            // Unlike a --logfile, this also has its complaints about its arguments.
            .stderr(log.try_clone().expect("duplicate a file"))
            .stdout(log);
        if process::locks_debug() {
            command.args(["--enable-debug-command", "yes"]);
        }
        *self.process() = Some(Process::spawn(command.args(&self.args)));
    }

    fn wait(&self, until: Until) -> Result<(), PortTaken> {
        let deadline = Instant::now() + START;
        let probe = Control::new(self.password.clone(), PROBE);
        while !self.answers(&probe, until) {
            let exited = self.process().as_mut().and_then(Process::exited);
            if let Some(status) = exited {
                let log = self.log_tail();
                if log.contains("Address already in use") {
                    return Err(PortTaken);
                }
                panic!("redis-server ended with {status}:\n{log}");
            }
            assert!(
                Instant::now() < deadline,
                "redis-server does not answer within {START:?}:\n{}",
                self.log_tail()
            );
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }

    /// Whether this server answers, and not another one that has taken the port.
    fn answers(&self, probe: &Control, until: Until) -> bool {
        match probe.run(self.port, &["INFO", "server"]) {
            Ok(info) => {
                let info = String::from_redis_value(info).expect("INFO as a string");
                let pid = info
                    .lines()
                    .find_map(|line| line.strip_prefix("process_id:")?.trim().parse().ok());
                if pid != self.pid() {
                    return false;
                }
            }
            // NOAUTH and the like are answers.
            Err(error) => return !error.is_io_error(),
        }
        until == Until::Answering
            || match probe.run(self.port, &["PING"]) {
                Ok(_) => true,
                Err(error) => !error.is_io_error() && error.code() != Some("LOADING"),
            }
    }

    /// Whether it is neither killed nor stopped.
    fn is_answering(&self) -> bool {
        self.process()
            .as_ref()
            .is_some_and(|process| !process.is_stopped())
    }

    fn process(&self) -> MutexGuard<'_, Option<Process>> {
        // The server of a failed test is killed, too.
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    fn log(&self) -> PathBuf {
        self.home.path().join("log")
    }

    fn log_tail(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        let lines: Vec<_> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl fmt::Debug for RedisServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisServer")
            .field("port", &self.port)
            .field("pid", &self.pid())
            .finish_non_exhaustive()
    }
}
