//! The parts of the benchmark: each is one kind of load.

mod deadlines;
mod dropped;
mod kept;
mod layer;
mod names;
mod one_name;
mod overload;
mod permits;
mod restart;
mod unpolled;

use std::{
    env, fmt,
    process::{Command, Stdio},
};

use crate::{Outcome, arguments::PART, machine::Cores, report::Row};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Kept,
    KeptBusy,
    Names,
    NamesPolled,
    OneName,
    Permits,
    Deadlines,
    Overload,
    WaitersDropped,
    GuardsDropped,
    Unpolled,
    Restart,
    Layer,
}

/// A part, and how large its load is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) part: Part,
    pub(crate) size: usize,
}

impl Part {
    pub(crate) const ALL: [Self; 13] = [
        Self::Kept,
        Self::KeptBusy,
        Self::Names,
        Self::NamesPolled,
        Self::OneName,
        Self::Permits,
        Self::Deadlines,
        Self::Overload,
        Self::WaitersDropped,
        Self::GuardsDropped,
        Self::Unpolled,
        Self::Restart,
        Self::Layer,
    ];

    /// The name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::KeptBusy => "kept-busy",
            Self::Names => "names",
            Self::NamesPolled => "names-polled",
            Self::OneName => "one-name",
            Self::Permits => "permits",
            Self::Deadlines => "deadlines",
            Self::Overload => "overload",
            Self::WaitersDropped => "waiters-dropped",
            Self::GuardsDropped => "guards-dropped",
            Self::Unpolled => "unpolled",
            Self::Restart => "restart",
            Self::Layer => "layer",
        }
    }

    const fn title(self) -> &'static str {
        match self {
            Self::Kept => "guards kept alive",
            Self::KeptBusy => "guards kept alive, beside a busy loop",
            Self::Names => "names waited for, held elsewhere",
            Self::NamesPolled => "the same, without wake-ups",
            Self::OneName => "waiters of one name, held elsewhere",
            Self::Permits => "waiters of a semaphore, all 3 permits held elsewhere",
            Self::Deadlines => "deadlines at one instant",
            Self::Overload => "times the load that the nodes can carry",
            Self::WaitersDropped => "waiters dropped, from the back",
            Self::GuardsDropped => "guards dropped at once",
            Self::Unpolled => "waiter that is handed the lock and not polled",
            Self::Restart => "tasks on 100 names, all nodes restarted",
            Self::Layer => "connections on 500 keys, 2 s wait",
        }
    }

    /// The size of its load that the goals are about.
    pub(crate) const fn size(self) -> usize {
        match self {
            Self::Kept => 50_000,
            Self::KeptBusy => 20_000,
            Self::Names | Self::Permits | Self::Deadlines => 10_000,
            Self::NamesPolled | Self::OneName | Self::Restart => 1_000,
            Self::Overload => 4,
            Self::WaitersDropped | Self::GuardsDropped => 100_000,
            Self::Unpolled => 1,
            Self::Layer => 5_000,
        }
    }

    /// Whether the size of the load says something about growth.
    pub(crate) const fn grows(self) -> bool {
        matches!(
            self,
            Self::Kept
                | Self::Names
                | Self::OneName
                | Self::Permits
                | Self::WaitersDropped
                | Self::GuardsDropped
        )
    }

    pub(crate) fn parse(name: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|part| part.name() == name);
        found.ok_or_else(|| {
            let all = Self::ALL.map(Self::name).join(", ");
            format!("there is no part {name}; there are {all}")
        })
    }

    /// Runs the part in this process.
    pub(crate) async fn measure(self, size: usize, cores: &Cores) -> Outcome<Vec<Row>> {
        match self {
            Self::Kept => kept::measure(size, false).await,
            Self::KeptBusy => kept::measure(size, true).await,
            Self::Names => names::measure(size, true).await,
            Self::NamesPolled => names::measure(size, false).await,
            Self::OneName => one_name::measure(size).await,
            Self::Permits => permits::measure(size).await,
            Self::Deadlines => deadlines::measure(size).await,
            Self::Overload => overload::measure(size, cores).await,
            Self::WaitersDropped => dropped::waiters(size).await,
            Self::GuardsDropped => dropped::guards(size).await,
            Self::Unpolled => unpolled::measure().await,
            Self::Restart => restart::measure(size).await,
            Self::Layer => layer::measure(size).await,
        }
    }
}

impl Run {
    /// Runs the part in a process of its own.
    pub(crate) fn in_a_process(self) -> Outcome<Vec<Row>> {
        let part = format!("{}:{}", self.part.name(), self.size);
        let mut process = Command::new(env::current_exe()?);
        process
            .args([PART, &part])
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        let output = process.output()?;
        if !output.status.success() {
            return Err(format!("its process has ended with {}", output.status).into());
        }
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let (part, size) = text.split_once(':').ok_or("a part without a size")?;
        Ok(Self {
            part: Part::parse(part)?,
            size: size.parse().map_err(|_| format!("{size} is not a size"))?,
        })
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.size, self.part.title())
    }
}
