//! The settings under which implementations are measured.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::implementation::Implementation;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Workload {
    /// One task, fresh names.
    Uncontended,
    /// Many tasks, distinct names.
    Parallel,
    /// Many tasks, one name, in one process or several.
    Contended,
    /// From the release in one process to the lock in another.
    Handoff,
    /// One task, which has slept before. [`Handoff`](Self::Handoff) is compared with it.
    Idle,
    /// One task, with all nodes. The two workloads with one node down are compared with it.
    Healthy,
    /// One task, with a node that accepts bytes and never answers.
    Hung,
    /// One task, with a node whose process is gone.
    Killed,
    /// Requests to an axum server in the same process, over loopback.
    Layer,
}

impl Workload {
    pub(crate) const ALL: [Self; 9] = [
        Self::Uncontended,
        Self::Parallel,
        Self::Contended,
        Self::Handoff,
        Self::Idle,
        Self::Healthy,
        Self::Hung,
        Self::Killed,
        Self::Layer,
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
            Self::Layer => "layer",
        }
    }
}

/// The kinds of requests of [`Workload::Layer`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Variant {
    /// `PUT` to distinct paths of a router without the layer.
    PlainPut,
    /// The same with the layer.
    LockedPut,
    /// The same locks without any requests.
    Bare,
    /// `GET` from a router without the layer.
    PlainGet,
    /// `GET` from one with the layer, which lets it pass unlocked.
    PassedGet,
    /// `PUT` to one path that is locked.
    HotPut,
}

impl Variant {
    const ALL: [Self; 6] = [
        Self::PlainPut,
        Self::LockedPut,
        Self::Bare,
        Self::PlainGet,
        Self::PassedGet,
        Self::HotPut,
    ];

    const fn name(self) -> &'static str {
        match self {
            Self::PlainPut => "PUT without the layer",
            Self::LockedPut => "PUT locked",
            Self::Bare => "the locks alone",
            Self::PlainGet => "GET without the layer",
            Self::PassedGet => "GET passed by",
            Self::HotPut => "PUT on one key",
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
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) variant: Option<Variant>,
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
            variant: None,
            nodes: 3,
            tasks: 1,
            processes: 1,
            hold_ms: 0,
            runtime: Threads::Multi,
        }
    }

    /// With 32 connections or tasks at a time.
    pub(crate) const fn of_layer(variant: Variant) -> Self {
        Self {
            variant: Some(variant),
            tasks: 32,
            ..Self::of(Workload::Layer)
        }
    }

    /// All settings.
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
        all.extend(Variant::ALL.map(Self::of_layer));
        all
    }

    /// The implementations that are measured under this setting.
    pub(crate) const fn implementations(&self) -> &'static [Implementation] {
        match (self.variant, self.workload) {
            (Some(Variant::PlainPut | Variant::PlainGet), _) => &[Implementation::None],
            (Some(_), _) => &[Implementation::Deadpool],
            (None, Workload::Uncontended | Workload::Parallel) => &Implementation::ALL,
            (None, _) => &Implementation::ASYNC,
        }
    }
}

impl fmt::Display for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(variant) = self.variant {
            return write!(f, "layer, {} tasks, {}", self.tasks, variant.name());
        }
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
