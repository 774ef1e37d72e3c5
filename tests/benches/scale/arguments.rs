//! The command line.

use std::{
    env,
    path::{Path, PathBuf},
};

use crate::parts::{Part, Run};

pub(crate) const HELP: &str = "\
Puts thousands of guards, waiters and requests on one process and three Redis servers of its own, all
on one core, and prints what they cost, with the goals that redsync has set itself.

Usage: cargo bench --bench scale -- [OPTIONS]

  --quick           a tenth of each load, in about two minutes
  --growth          each load that grows in four sizes, for the chart
  --only PART,...   of kept, kept-busy, names, names-polled, one-name, permits, deadlines, overload,
                    waiters-dropped, guards-dropped, unpolled, restart, layer
  --chart FILE      also draws the growth, as SVG (with --growth)
  --help            prints this

Paths of files are relative to the root of the workspace.
The servers run `redis-server`, or the program in the environment variable REDIS_SERVER.";

/// The argument that makes this program run one part in its own process.
pub(crate) const PART: &str = "--part";

#[derive(Debug)]
pub(crate) struct Arguments {
    quick: bool,
    growth: bool,
    parts: Vec<Part>,
    pub(crate) chart: Option<PathBuf>,
}

pub(crate) enum Asked {
    Help,
    /// Run this part, for the process that has started this one.
    Part(Run),
    Benchmark(Arguments),
}

impl Arguments {
    /// What is to be run, in order.
    pub(crate) fn runs(&self) -> Vec<Run> {
        let sizes = |part: &Part| -> Vec<usize> {
            let full = part.size();
            match (self.growth && part.grows(), self.quick) {
                (true, true) => vec![10, 100, 1_000],
                (true, false) => vec![10, 100, 1_000, 10_000],
                (false, true) => vec![(full / 10).max(1)],
                (false, false) => vec![full],
            }
        };
        let runs = |part: &Part| {
            let part = *part;
            sizes(&part).into_iter().map(move |size| Run { part, size })
        };
        self.parts.iter().flat_map(runs).collect()
    }
}

pub(crate) fn parse() -> Result<Asked, String> {
    let mut parsed = Arguments {
        quick: false,
        growth: false,
        parts: Part::ALL.into(),
        chart: None,
    };
    let mut arguments = env::args().skip(1);
    while let Some(name) = arguments.next() {
        let mut value = || {
            arguments
                .next()
                .ok_or_else(|| format!("{name} needs a value"))
        };
        match &*name {
            // Cargo adds this.
            "--bench" => {}
            "--help" | "-h" => return Ok(Asked::Help),
            PART => return Run::parse(&value()?).map(Asked::Part),
            "--quick" => parsed.quick = true,
            "--growth" => parsed.growth = true,
            "--only" => {
                let parts = value()?;
                let parts = parts.split(',').map(|part| Part::parse(part.trim()));
                parsed.parts = parts.collect::<Result<_, _>>()?;
            }
            "--chart" => parsed.chart = Some(root().join(value()?)),
            _ => return Err(format!("there is no argument {name}")),
        }
    }
    Ok(Asked::Benchmark(parsed))
}

/// The root of the workspace, where people call cargo. Cargo starts this program elsewhere.
fn root() -> &'static Path {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().unwrap_or(tests)
}
