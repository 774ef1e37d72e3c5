//! The processes of the clients: this program, started again.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Child, ChildStdin, Command, Stdio},
    time::Duration,
};

use redsync_simulation::history::{Recorder, What};
use redsync_tests::{stop::stop, wait};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    Outcome, SOON,
    client::{Order, WAIT},
};

/// The environment variable with the order for a client.
const ORDER: &str = "REDSYNC_SOAK_CLIENT";

pub(crate) struct Clients {
    order: Order,
    records: PathBuf,
    /// How many processes there have been.
    started: u32,
    processes: Vec<Process>,
}

/// Killed and reaped when it is dropped.
struct Process {
    number: u32,
    child: Child,
    input: Option<ChildStdin>,
}

/// What a process has.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    /// Resident memory, in kilobytes.
    pub(crate) memory: u64,
    /// Open files and sockets.
    pub(crate) files: u64,
}

impl Clients {
    /// Starts so many. Each is ordered what `order` says, with a number and a record of its own.
    pub(crate) fn start(count: usize, order: Order, records: &Path) -> Outcome<Self> {
        let mut clients = Self {
            order,
            records: records.to_owned(),
            started: 0,
            processes: Vec::new(),
        };
        for place in 0..count {
            let process = clients.launch(place)?;
            clients.processes.push(process);
        }
        Ok(clients)
    }

    fn launch(&mut self, place: usize) -> Outcome<Process> {
        let number = self.started;
        self.started += 1;
        let order = Order {
            process: number,
            record: self.record(number),
            plant: self.order.plant.filter(|_| place == 0),
            ..self.order.clone()
        };
        let mut child = Command::new(env::current_exe()?)
            .env(ORDER, serde_json::to_string(&order)?)
            .stdin(Stdio::piped())
            .spawn()?;
        let input = child.stdin.take();
        Ok(Process {
            number,
            child,
            input,
        })
    }

    fn record(&self, number: u32) -> PathBuf {
        self.records.join(format!("client-{number}"))
    }

    /// The records of all processes so far.
    pub(crate) fn records(&self) -> Vec<PathBuf> {
        (0..self.started)
            .map(|number| self.record(number))
            .collect()
    }

    /// Kills a process with SIGKILL, and starts another in its place.
    pub(crate) fn replace(&mut self, place: usize, recorder: &Recorder) -> Outcome<()> {
        self.processes[place].kill();
        // Afterwards, so that it has recorded nothing later.
        let process = self.processes[place].number;
        recorder.record(What::Killed { process });
        self.processes[place] = self.launch(place)?;
        Ok(())
    }

    pub(crate) fn stop(&self, place: usize, recorder: &Recorder) {
        let process = &self.processes[place];
        recorder.record(What::Stops {
            process: process.number,
        });
        stop(&process.child);
    }

    pub(crate) fn resume(&self, place: usize, recorder: &Recorder) -> Outcome<()> {
        let process = &self.processes[place];
        kill_process(Pid::from_child(&process.child), Signal::CONT)?;
        recorder.record(What::Continues {
            process: process.number,
        });
        Ok(())
    }

    /// What the process at a place has, if the system tells.
    pub(crate) fn usage(&self, place: usize) -> Option<Usage> {
        let folder = PathBuf::from(format!("/proc/{}", self.processes[place].child.id()));
        let status = fs::read_to_string(folder.join("status")).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        Some(Usage {
            memory: line.split_whitespace().nth(1)?.parse().ok()?,
            files: fs::read_dir(folder.join("fd")).ok()?.count() as u64,
        })
    }

    /// Asks all to end.
    pub(crate) fn ask_to_end(&mut self) {
        for process in &mut self.processes {
            process.input.take();
        }
    }

    /// Waits until all have ended that were [asked to](Self::ask_to_end).
    pub(crate) fn wait_for_the_end(&mut self) -> Outcome<()> {
        for process in &mut self.processes {
            let mut status = None;
            wait::until("a client that ends", WAIT + SOON, || {
                status = process.child.try_wait().expect("a status");
                status.is_some()
            });
            if !status.is_some_and(|status| status.success()) {
                return Err(format!("client {} ended with {status:?}", process.number).into());
            }
        }
        Ok(())
    }
}

impl Process {
    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// In the process of a client: its order.
pub(crate) fn order() -> Outcome<Option<Order>> {
    match env::var(ORDER) {
        Ok(order) => Ok(Some(serde_json::from_str(&order)?)),
        Err(_) => Ok(None),
    }
}

/// How long a client may need to start.
pub(crate) const START: Duration = Duration::from_secs(2);
