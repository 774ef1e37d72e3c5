//! What the program is asked to do.

use std::env;

use crate::{Error, Outcome, plant::Plant};

pub(crate) const HELP: &str = "\
Locks on real servers, with faults, and a check of what the clients believed.

cargo test -p redsync-tests --test soak -- [options]

  --minutes N    a soak of that length, which also checks that nothing grows; otherwise a short form
  --nodes N      with 3 or 5 nodes only; otherwise with each, one after the other
  --seed N       the seed of the faults, to replay them
  --plant NAME   breaks something on purpose; the run then has to find it:
                 unlocked, early-restart, unfenced, unkept, unreleased, asleep, blocked, leak
";

/// Options that the test harness of Rust has, and which change nothing here.
const OF_HARNESS: [&str; 5] = [
    "--nocapture",
    "--no-capture",
    "--show-output",
    "--exact",
    "--quiet",
];

#[derive(Debug, Default)]
pub(crate) struct Arguments {
    pub(crate) minutes: Option<f64>,
    pub(crate) nodes: Option<usize>,
    pub(crate) seed: Option<u64>,
    pub(crate) plant: Option<Plant>,
}

/// What to do.
#[derive(Debug)]
pub(crate) enum Asked {
    Run(Arguments),
    Help,
    /// `cargo test` was asked for other tests.
    Nothing,
}

impl Asked {
    pub(crate) fn read() -> Outcome<Self> {
        let mut arguments = Arguments::default();
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("{word} needs a value"));
            match &*word {
                "--minutes" => arguments.minutes = Some(value()?.parse()?),
                "--nodes" => arguments.nodes = Some(value()?.parse()?),
                "--seed" => arguments.seed = Some(value()?.parse()?),
                "--plant" => arguments.plant = Some(Plant::named(&value()?)?),
                "--help" => return Ok(Self::Help),
                "--list" | "--ignored" => return Ok(Self::Nothing),
                "--test-threads" | "--color" | "--format" | "--skip" | "-Z" => drop(value()?),
                word if OF_HARNESS.contains(&word) => {}
                // The name of a test.
                word if !word.starts_with('-') => {
                    if !"soak".contains(word) {
                        return Ok(Self::Nothing);
                    }
                }
                word if word.starts_with("--test-threads=") || word.starts_with("--color=") => {}
                word => return Err(Error::from(format!("unknown argument {word}\n\n{HELP}"))),
            }
        }
        Ok(Self::Run(arguments))
    }
}
