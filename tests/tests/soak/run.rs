//! One run: servers, clients, faults, and the check of what came of it.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    fmt::Write as _,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use redsync_simulation::history::{Event, Expected, Recorder, What, Wrong, check};
use redsync_tests::{
    growth::{self, Sample},
    wait,
};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::{
    EXPIRY, Error, Outcome, SOON,
    client::{Order, WAIT},
    clients::{self, Clients},
    desk::Desk,
    ledger::Ledger,
    nodes::{Left, Nodes, RECOVERY},
    plant::Plant,
    schedule::{Fault, KINDS, Schedule, Step, Target},
};

/// Processes of clients.
const CLIENTS: usize = 4;

/// Tasks of each process.
const TASKS: usize = 8;

const NAMES: usize = 20;

/// How long a node does not answer while clients end.
const LAST_FAULT: Duration = Duration::from_millis(1500);

/// How often figures are taken.
const SAMPLING: Duration = Duration::from_secs(2);

/// How often figures are printed in a soak.
const PRINTING: Duration = Duration::from_secs(30);

/// What to run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    pub(crate) nodes: usize,
    pub(crate) seed: u64,
    pub(crate) goal: Goal,
    pub(crate) plant: Option<Plant>,
}

/// When to end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Goal {
    /// After so many faults and grants.
    Counts {
        faults: usize,
        grants: usize,
    },
    Time(Duration),
}

/// What has been seen.
pub(crate) struct Seen {
    pub(crate) report: String,
    pub(crate) faults: usize,
    pub(crate) grants: usize,
    /// What must not be, as the clients, the ledger and the servers show it.
    pub(crate) wrongs: Vec<String>,
    /// What the history shows.
    pub(crate) wrong_in_history: Vec<Wrong>,
}

pub(crate) fn run(setting: Setting) -> Outcome<Seen> {
    let mut run = Run::start(setting)?;
    run.go()?;
    run.heal()?;
    run.finish()
}

struct Run {
    setting: Setting,
    start: Instant,
    nodes: Nodes,
    clients: Clients,
    desk: Desk,
    faults: Faults,
    samples: Vec<Sample>,
    recorder: Recorder,
    records: TempDir,
    /// Whether the history shows what was planted.
    is_in_history: bool,
}

/// Those that have begun, and those that have not ended.
#[derive(Default)]
struct Faults {
    begun: BTreeMap<String, usize>,
    count: usize,
    /// By their ends.
    current: BinaryHeap<Reverse<(Instant, Target, Fault)>>,
}

impl Run {
    fn start(setting: Setting) -> Outcome<Self> {
        let runtime = Runtime::new()?;
        let nodes = Nodes::start(setting.nodes, &runtime);
        let names: Vec<String> = (0..NAMES).map(|number| format!("name:{number}")).collect();
        let fenced = setting.plant != Some(Plant::Unfenced);
        let desk = Desk::open(Ledger::new(&names, fenced)?)?;
        let records = tempfile::tempdir()?;
        let order = Order {
            process: 0,
            seed: setting.seed,
            tasks: TASKS,
            names,
            urls: nodes.urls(),
            desk: desk.address(),
            record: PathBuf::new(),
            plant: setting.plant,
        };
        Ok(Self {
            setting,
            start: Instant::now(),
            clients: Clients::start(CLIENTS, order, records.path())?,
            nodes,
            desk,
            faults: Faults::default(),
            samples: Vec::new(),
            recorder: Recorder::to_file(records.path().join("faults"))?,
            records,
            is_in_history: false,
        })
    }

    fn is_done(&self) -> bool {
        let grants = self.desk.tally(|tally| tally.grants());
        // What was planted has been found.
        let is_found =
            self.setting.plant.is_some() && !self.desk.wrongs().is_empty() || self.is_in_history;
        is_found
            || match self.setting.goal {
                Goal::Counts {
                    faults,
                    grants: enough,
                } => self.faults.count >= faults && grants >= enough,
                Goal::Time(time) => self.start.elapsed() >= time,
            }
    }

    /// Carries out the schedule.
    fn go(&mut self) -> Outcome<()> {
        let Setting {
            seed, nodes, plant, ..
        } = self.setting;
        let mut schedule = Schedule::new(seed, nodes, CLIENTS, plant).peekable();
        let (mut next_sample, mut next_line) = (self.start + SAMPLING, self.start + PRINTING);
        while !self.is_done() {
            let now = Instant::now();
            if self.end_faults(now)? {
                continue;
            }
            let is_due =
                |step: &Step| now >= self.start + step.at && !self.faults.are_at(step.target);
            if let Some(step) = schedule.next_if(is_due) {
                self.begin(step)?;
                continue;
            }
            if now >= next_sample {
                self.sample();
                self.is_in_history = self.shows_plant()?;
                next_sample += SAMPLING;
            }
            if now >= next_line && matches!(self.setting.goal, Goal::Time(_)) {
                println!("{}", self.line());
                next_line += PRINTING;
            }
            thread::sleep(Duration::from_millis(5));
        }
        Ok(())
    }

    fn begin(&mut self, step: Step) -> Outcome<()> {
        let Step {
            target,
            fault,
            lasts,
            ..
        } = step;
        self.faults.count += 1;
        *self.faults.begun.entry(name(fault)).or_default() += 1;
        match target {
            Target::Node(node) => {
                self.recorder.record(What::Ill { node: node as u32 });
                self.nodes.begin(node, fault);
            }
            Target::Client(client) if fault == Fault::ClientStopped => {
                self.clients.stop(client, &self.recorder);
            }
            Target::Client(client) => self.clients.replace(client, &self.recorder)?,
        }
        let end = Instant::now() + lasts;
        self.faults.current.push(Reverse((end, target, fault)));
        Ok(())
    }

    /// Ends the faults that are due. Returns whether there was one.
    fn end_faults(&mut self, now: Instant) -> Outcome<bool> {
        let mut any = false;
        while let Some(Reverse((end, target, fault))) = self.faults.current.peek().copied()
            && end <= now
        {
            any = true;
            self.faults.current.pop();
            match target {
                Target::Node(node) => {
                    self.nodes.end(node, fault);
                    self.recorder.record(What::Well { node: node as u32 });
                }
                Target::Client(client) if fault == Fault::ClientStopped => {
                    self.clients.resume(client, &self.recorder)?;
                }
                Target::Client(_) => {}
            }
        }
        Ok(any)
    }

    /// Ends all faults, waits until each name has been locked again, and ends the clients.
    fn heal(&mut self) -> Outcome<()> {
        self.end_all_faults()?;
        self.recorder.record(What::Healed);
        self.desk.forget_names();
        if self.setting.plant.is_none() {
            let limit = EXPIRY + RECOVERY + SOON;
            wait::until("each name is locked again", limit, || {
                self.desk.names_read() == NAMES
            });
            // The last locks have to be released on this node, too.
            self.begin(Step {
                at: Duration::ZERO,
                target: Target::Node(0),
                fault: Fault::DroppedReplies,
                lasts: LAST_FAULT,
            })?;
        }
        self.clients.ask_to_end();
        self.end_all_faults()?;
        self.clients.wait_for_the_end()
    }

    fn end_all_faults(&mut self) -> Outcome<()> {
        while let Some(Reverse((end, ..))) = self.faults.current.peek().copied() {
            thread::sleep(end.saturating_duration_since(Instant::now()));
            self.end_faults(end)?;
        }
        Ok(())
    }

    fn finish(self) -> Outcome<Seen> {
        let mut wrongs = self.desk.wrongs();
        wrongs.extend(
            self.desk
                .check_ledger()
                .err()
                .map(|error| error.to_string()),
        );

        let events = self.events()?;
        let verdict = check(&events, &self.expected());
        wrongs.extend(self.left_over());
        let is_long = matches!(self.setting.goal, Goal::Time(_));
        if is_long && matches!(self.setting.plant, None | Some(Plant::Leak)) {
            wrongs.extend(growth::grown(&self.samples));
        }

        let kinds = self.faults.begun.len();
        if !is_long && self.setting.plant.is_none() && kinds < KINDS {
            wrongs.push(format!("only {kinds} of {KINDS} kinds of faults have come"));
        }

        let mut report = self.line();
        let _ = write!(report, "\n    faults: {:?}", self.faults.begun);
        let (losses, failures) =
            (self.desk).tally(|tally| (tally.losses().to_vec(), format!("{:?}", tally.failures())));
        let lost = losses.len();
        let _ = write!(report, "\n    lost: {lost}; without a lock: {failures}");
        for loss in losses {
            let _ = write!(report, "\n    lost by {loss}");
        }
        let figures = verdict.figures;
        let _ = write!(
            report,
            "\n    history: {} calls, {} grants, {} lost; longest wait with a majority {:?}, \
             while free {:?}",
            figures.calls, figures.grants, figures.lost, figures.longest_wait, figures.longest_idle,
        );
        Ok(Seen {
            report,
            faults: self.faults.count,
            grants: self.desk.tally(|tally| tally.grants()),
            wrongs,
            wrong_in_history: verdict.wrongs,
        })
    }

    fn events(&self) -> Outcome<Vec<Event>> {
        let mut records = self.clients.records();
        records.push(self.records.path().join("faults"));
        // A client that was killed at once has no record.
        records.retain(|record| record.exists());
        Ok(Recorder::read(&records)?)
    }

    /// Whether the history shows by now that a rule of liveness does not hold, if that was planted.
    fn shows_plant(&self) -> Outcome<bool> {
        let Some(rule) = self.setting.plant.and_then(Plant::breaks) else {
            return Ok(false);
        };
        let verdict = check(&self.events()?, &self.expected());
        Ok(verdict.wrongs.iter().any(|wrong| wrong.rule == rule))
    }

    /// What the history has to show. No machine is so busy that it reaches the limits of waits.
    fn expected(&self) -> Expected {
        Expected {
            nodes: self.setting.nodes as u32,
            expiry: EXPIRY,
            // It is reached when clients end, and nobody else takes the name.
            idle: EXPIRY + SOON,
            wait: WAIT / 2,
            poller_wait: WAIT / 2,
            // An extension is due after a third of the expiry.
            keep: EXPIRY * 3 / 4,
            // Nodes do not record keys. Those that stay are looked for at the end.
            stale: EXPIRY,
            healed: EXPIRY + RECOVERY + SOON,
        }
    }

    /// The keys that are on a server for longer than their holders.
    fn left_over(&self) -> Option<String> {
        let deadline = Instant::now() + EXPIRY + SOON;
        loop {
            let left = self.nodes.locks();
            if left.is_empty() {
                return None;
            }
            // Nobody is left who could release it.
            let stays = |left: &Left| !left.expires_soon();
            if left.iter().any(stays) || Instant::now() > deadline {
                let left: Vec<String> = left.iter().map(ToString::to_string).collect();
                return Some(format!("keys are left: {}", left.join("; ")));
            }
            thread::sleep(Duration::from_millis(50));
        }
    }

    fn sample(&mut self) {
        let is_stopped = self.faults.are_at(Target::Client(0));
        let usage = self.clients.usage(0).filter(|_| !is_stopped);
        let well = (0..self.setting.nodes).filter(|node| !self.faults.are_at(Target::Node(*node)));
        let connections = well.map(|node| self.nodes.connections(node)).max();
        if let (Some(usage), Some(connections)) = (usage, connections)
            && self.start.elapsed() > clients::START
        {
            self.samples.push(Sample {
                at: self.start.elapsed(),
                memory: usage.memory,
                files: usage.files,
                connections,
            });
        }
    }

    fn line(&self) -> String {
        let Setting { nodes, seed, .. } = self.setting;
        let (grants, recent, p50, p99) = self.desk.tally(|tally| {
            (
                tally.grants(),
                tally.recent_percentile(99),
                tally.percentile(50),
                tally.percentile(99),
            )
        });
        let mut line = format!(
            "{nodes} nodes, seed {seed}, {:.0?}: {grants} grants, {} faults, wait p50 {p50:.1?}, \
             p99 {p99:.1?} (since the last line {recent:.1?})",
            self.start.elapsed(),
            self.faults.count,
        );
        if let Some(sample) = self.samples.last() {
            let _ = write!(
                line,
                "; after {:.0?} a client has {} MB and {} open files, a server {} connections",
                sample.at,
                sample.memory / 1024,
                sample.files,
                sample.connections,
            );
        }
        line
    }
}

impl Faults {
    fn are_at(&self, target: Target) -> bool {
        self.current.iter().any(|Reverse((_, at, _))| *at == target)
    }
}

fn name(fault: Fault) -> String {
    match fault {
        Fault::Slow(_) => "Slow".to_owned(),
        fault => format!("{fault:?}"),
    }
}

impl Seen {
    /// The report, or an error if anything is wrong.
    pub(crate) fn judge(self) -> Outcome<String> {
        let of_history = self.wrong_in_history.iter().map(ToString::to_string);
        let mut wrongs = self.wrongs.iter().cloned().chain(of_history).peekable();
        if wrongs.peek().is_none() {
            return Ok(self.report);
        }
        let mut text = self.report.clone();
        for wrong in wrongs.take(20) {
            let _ = write!(text, "\n    WRONG: {wrong}");
        }
        Err(Error::from(text))
    }
}
