//! Servers, a client of them, and names that another process holds.

use std::{
    future::Future,
    time::{Duration, Instant},
};

use redis::aio::MultiplexedConnection;
use redsync::Redsync;
use redsync_tests::{RedisServer, Servers, bench::cpu_time};
use tokio::{runtime::Builder, time::sleep};

use crate::Outcome;

pub(crate) const NODES: usize = 3;

/// Longer than any part.
pub(crate) const PATIENCE: Duration = Duration::from_secs(600);

/// How many commands of the benchmark itself go out in one write.
const TOGETHER: usize = 1_000;

/// Runs a part on a runtime with one thread.
pub(crate) fn run<T>(part: impl Future<Output = Outcome<T>>) -> Outcome<T> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(part)
}

pub(crate) fn connect(servers: &Servers) -> Outcome<Redsync> {
    Ok(Redsync::connect(servers.urls())?)
}

pub(crate) fn names(count: usize) -> impl Iterator<Item = String> {
    (0..count).map(|number| format!("scale:{number}"))
}

/// Another process, as the nodes see it: it holds names on all of them.
pub(crate) struct Other(Vec<MultiplexedConnection>);

impl Other {
    pub(crate) async fn connect(servers: &Servers) -> Outcome<Self> {
        let mut connections = Vec::new();
        for url in servers.urls() {
            let client = redis::Client::open(url)?;
            connections.push(client.get_multiplexed_async_connection().await?);
        }
        Ok(Self(connections))
    }

    /// Holds the names for longer than any part takes.
    pub(crate) async fn hold(&mut self, names: &[String]) -> Outcome<()> {
        let expiry = PATIENCE.as_millis() as u64;
        let set = |pipeline: &mut redis::Pipeline, name: &String| {
            let set = pipeline.cmd("SET").arg(name).arg("another");
            set.arg("PX").arg(expiry).ignore();
        };
        self.each(names, set).await
    }

    /// Releases the names.
    pub(crate) async fn release(&mut self, names: &[String]) -> Outcome<()> {
        let delete = |pipeline: &mut redis::Pipeline, name: &String| {
            pipeline.cmd("DEL").arg(name).ignore();
        };
        self.each(names, delete).await
    }

    async fn each(
        &mut self,
        names: &[String],
        command: impl Fn(&mut redis::Pipeline, &String),
    ) -> Outcome<()> {
        for names in names.chunks(TOGETHER) {
            let mut pipeline = redis::pipe();
            for name in names {
                command(&mut pipeline, name);
            }
            for connection in &mut self.0 {
                pipeline.exec_async(connection).await?;
            }
        }
        Ok(())
    }
}

/// What a process and its servers do during a span of time.
pub(crate) struct Span {
    start: Instant,
    cpu: Duration,
    commands: u64,
    scripts: u64,
}

/// The load of a span.
pub(crate) struct Load {
    /// The part of a core that this process used, in percent.
    pub(crate) cpu: f64,
    /// Commands that one node executed, per second. Those that a script calls count as well.
    pub(crate) commands: f64,
    /// Scripts that one node executed, per second.
    pub(crate) scripts: f64,
}

impl Span {
    pub(crate) fn begin(servers: &Servers) -> Self {
        Self {
            commands: sum(servers, commands),
            scripts: sum(servers, scripts),
            cpu: cpu_time(),
            start: Instant::now(),
        }
    }

    pub(crate) fn end(self, servers: &Servers) -> Load {
        let (took, cpu) = (self.start.elapsed(), cpu_time() - self.cpu);
        let rate = |count: u64| count as f64 / NODES as f64 / took.as_secs_f64();
        Load {
            cpu: cpu.as_secs_f64() / took.as_secs_f64() * 100.0,
            commands: rate(sum(servers, commands) - self.commands),
            scripts: rate(sum(servers, scripts) - self.scripts),
        }
    }

    /// The load of the time from now.
    pub(crate) async fn of(servers: &Servers, time: Duration) -> Load {
        let span = Self::begin(servers);
        sleep(time).await;
        span.end(servers)
    }
}

fn sum(servers: &Servers, count: fn(&RedisServer) -> u64) -> u64 {
    servers.iter().map(count).sum()
}

fn commands(server: &RedisServer) -> u64 {
    let stats: String = server.query(&["INFO", "stats"]);
    count_after(&stats, "total_commands_processed:").expect("a server counts its commands")
}

fn scripts(server: &RedisServer) -> u64 {
    let stats: String = server.query(&["INFO", "commandstats"]);
    // There is no such line before the first one.
    count_after(&stats, "cmdstat_evalsha:calls=").unwrap_or_default()
}

/// The number that follows a text at the beginning of a line.
fn count_after(lines: &str, text: &str) -> Option<u64> {
    let rest = lines.lines().find_map(|line| line.strip_prefix(text))?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..digits].parse().ok()
}
