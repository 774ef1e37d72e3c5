//! The machine: one core, enough files, memory and load.

use std::fs;

use rustix::{
    process::{Resource, Rlimit, getrlimit, setrlimit},
    thread::{CpuSet, sched_getaffinity, sched_setaffinity},
};

use crate::Outcome;

/// How many files and sockets a part may have open.
const FILES: u64 = 16_000;

/// How much memory a part may take, in bytes. A part that needs more has failed.
const MEMORY: u64 = 4 << 30;

/// The cores that this process may use.
pub(crate) struct Cores(CpuSet);

impl Cores {
    /// Keeps this process, and all that it starts from now on, on the first of its cores.
    pub(crate) fn stay_on_one() -> Outcome<Self> {
        let all = sched_getaffinity(None)?;
        let first = cores(&all).next().ok_or("no core")?;
        sched_setaffinity(None, &only(first))?;
        Ok(Self(all))
    }

    /// Moves this thread to another core, if there is one. What it has started stays.
    pub(crate) fn move_to_another(&self) -> Outcome<()> {
        let other = cores(&self.0).nth(1).or_else(|| cores(&self.0).next());
        Ok(sched_setaffinity(None, &only(other.ok_or("no core")?))?)
    }
}

fn cores(set: &CpuSet) -> impl Iterator<Item = usize> {
    (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core))
}

fn only(core: usize) -> CpuSet {
    let mut one = CpuSet::new();
    one.set(core);
    one
}

/// Lets this process open many sockets, and ends it before it takes all memory of the machine.
pub(crate) fn set_limits() -> Outcome<()> {
    let memory = getrlimit(Resource::As);
    let current = Some(memory.maximum.map_or(MEMORY, |most| most.min(MEMORY)));
    setrlimit(Resource::As, Rlimit { current, ..memory })?;

    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(FILES, |most| most.min(FILES));
    if limit.current.is_some_and(|current| current < wanted) {
        let current = Some(wanted);
        setrlimit(Resource::Nofile, Rlimit { current, ..limit })?;
    }
    Ok(())
}

/// The memory of this process that is resident, in bytes.
pub(crate) fn resident() -> Outcome<f64> {
    let status = fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1));
    let kilobytes: f64 = kilobytes.ok_or("no VmRSS")?.parse()?;
    Ok(kilobytes * 1024.0)
}
