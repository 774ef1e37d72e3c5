//! Under which conditions something is measured.

use std::fmt;

use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Workload {
    /// One task, fresh names.
    Uncontended,
    /// Many tasks, distinct names.
    Parallel,
    /// Many tasks, one name, in one process or several.
    Contended,
    /// From the release in one process to the guard in another.
    Handoff,
    /// One task, which has slept before: what a hand-off is compared with.
    Idle,
    /// One task, with all nodes: what those with one node down are compared with.
    Healthy,
    /// One task, with a node that accepts bytes and never answers.
    Hung,
    /// One task, with a node whose process is gone.
    Killed,
}

impl Workload {
    pub(crate) const ALL: [Self; 8] = [
        Self::Uncontended,
        Self::Parallel,
        Self::Contended,
        Self::Handoff,
        Self::Idle,
        Self::Healthy,
        Self::Hung,
        Self::Killed,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Uncontended => "uncontended",
            Self::Parallel => "parallel",
            Self::Contended => "contended",
            Self::Handoff => "handoff",
            Self::Idle => "idle",
            Self::Healthy => "healthy",
            Self::Hung => "hung",
            Self::Killed => "killed",
        }
    }
}

/// The threads of a client's runtime.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Threads {
    #[serde(rename = "single-thread")]
    Single,
    /// Two.
    #[serde(rename = "multi-thread")]
    Multi,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Setting {
    pub(crate) workload: Workload,
    pub(crate) nodes: usize,
    pub(crate) tasks: usize,
    pub(crate) processes: usize,
    pub(crate) hold_ms: u64,
    pub(crate) runtime: Threads,
}

impl Setting {
    /// One task on three nodes.
    pub(crate) const fn of(workload: Workload) -> Self {
        Self {
            workload,
            nodes: 3,
            tasks: 1,
            processes: 1,
            hold_ms: 0,
            runtime: Threads::Multi,
        }
    }

    /// All that there is to measure.
    pub(crate) fn all() -> Vec<Self> {
        use Workload::{Contended, Handoff, Healthy, Hung, Idle, Killed, Parallel, Uncontended};

        let mut all = Vec::new();
        for (workload, tasks) in [(Uncontended, 1), (Parallel, 64), (Parallel, 512)] {
            for nodes in [1, 3, 5] {
                for runtime in [Threads::Single, Threads::Multi] {
                    all.push(Self {
                        nodes,
                        tasks,
                        runtime,
                        ..Self::of(workload)
                    });
                }
            }
        }
        for hold_ms in [0, 2] {
            for (processes, tasks) in [(1, 16), (1, 64), (4, 16)] {
                all.push(Self {
                    tasks,
                    processes,
                    hold_ms,
                    ..Self::of(Contended)
                });
            }
        }
        all.push(Self {
            processes: 2,
            ..Self::of(Handoff)
        });
        all.push(Self::of(Idle));
        for workload in [Healthy, Hung, Killed] {
            all.push(Self {
                nodes: 5,
                ..Self::of(workload)
            });
        }
        all
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}, {} node{}",
            self.workload.name(),
            self.nodes,
            if self.nodes == 1 { "" } else { "s" }
        )?;
        if self.processes > 1 {
            write!(f, ", {} processes", self.processes)?;
        }
        if self.tasks > 1 {
            write!(f, ", {} tasks", self.tasks)?;
        }
        if self.workload == Workload::Contended {
            write!(f, ", hold {} ms", self.hold_ms)?;
        }
        if self.runtime == Threads::Single {
            f.write_str(", one thread")?;
        }
        Ok(())
    }
}
