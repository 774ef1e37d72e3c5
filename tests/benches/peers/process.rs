//! Clients in processes of their own: this program, started again.
//!
//! They get their orders as an argument and on their standard input, and answer on their standard
//! output, in lines of JSON. They end at the end of their input.

use std::{
    env,
    io::{self, BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    time::Duration,
};

use redsync_tests::bench::machine_time;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{
    io::{AsyncBufReadExt, Lines, Stdin},
    time::sleep,
};

use crate::{
    Error, Outcome,
    implementation::{Client, Implementation},
    runtime::run,
    setting::Threads,
    workloads::{
        contended::{self, Crowd},
        handoff,
    },
};

/// The argument that makes this program a client of another one.
pub(crate) const ARGUMENT: &str = "--client";

/// How long before their common start the clients are notified of it.
const NOTICE: Duration = Duration::from_millis(20);

#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Job {
    /// Starts at a given time, and answers with [`Visits`](contended::Visits).
    Contend(Crowd),
    /// Locks and releases this name step by step, and answers with the time of each step.
    Handoff(String),
}

#[derive(Serialize, Deserialize)]
struct Order<J> {
    implementation: Implementation,
    addresses: Vec<String>,
    runtime: Threads,
    job: J,
}

/// A process, killed when dropped.
pub(crate) struct Process {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Process {
    /// Starts a process, and returns when it is connected.
    pub(crate) fn start(
        implementation: Implementation,
        addresses: &[String],
        runtime: Threads,
        job: &Job,
    ) -> Outcome<Self> {
        let order = Order {
            implementation,
            addresses: addresses.to_vec(),
            runtime,
            job,
        };
        let mut child = Command::new(env::current_exe()?)
            .args([ARGUMENT, &serde_json::to_string(&order)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut process = Self {
            input: child.stdin.take().expect("a pipe"),
            output: BufReader::new(child.stdout.take().expect("a pipe")),
            child,
        };
        process.receive::<()>()?;
        Ok(process)
    }

    pub(crate) fn send(&mut self, message: &impl Serialize) -> Outcome<()> {
        let line = serde_json::to_string(message)?;
        Ok(writeln!(self.input, "{line}")?)
    }

    pub(crate) fn receive<T: DeserializeOwned>(&mut self) -> Outcome<T> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        if line.is_empty() {
            return Err("a client process has ended; its message is above".into());
        }
        Ok(serde_json::from_str(&line)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Starts processes that wait for this, all at the same time.
pub(crate) fn common_start(processes: &mut [Process]) -> Outcome<()> {
    let start = machine_time() + NOTICE;
    processes
        .iter_mut()
        .try_for_each(|process| process.send(&start))
}

/// The orders of the starting process.
pub(crate) struct Orders(Lines<tokio::io::BufReader<Stdin>>);

impl Orders {
    /// The next order, or [`None`] if there are no more.
    pub(crate) async fn next<T: DeserializeOwned>(&mut self) -> Outcome<Option<T>> {
        let line = self.0.next_line().await?;
        Ok(line.map(|line| serde_json::from_str(&line)).transpose()?)
    }
}

/// Answers the starting process.
pub(crate) fn answer(message: &impl Serialize) -> Outcome<()> {
    let line = serde_json::to_string(message)?;
    Ok(writeln!(io::stdout(), "{line}")?)
}

/// Runs a client process, from its start to its end.
pub(crate) fn serve(order: &str) -> Outcome<()> {
    let order: Order<Job> = serde_json::from_str(order)?;
    run(order.runtime, async move {
        let client = Client::connect(order.implementation, &order.addresses).await?;
        let mut orders = Orders(tokio::io::BufReader::new(tokio::io::stdin()).lines());
        answer(&())?;
        match order.job {
            Job::Contend(crowd) => {
                let start: Option<Duration> = orders.next().await?;
                let start = start.ok_or_else(|| Error::from("no start"))?;
                sleep(start.saturating_sub(machine_time())).await;
                answer(&contended::contend(&client, &crowd).await?)
            }
            Job::Handoff(name) => handoff::serve(&client, &name, &mut orders).await,
        }
    })
}
