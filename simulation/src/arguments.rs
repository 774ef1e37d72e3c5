//! What the program is asked to do.

use std::{env, num::NonZeroU64};

pub(crate) const HELP: &str = "\
Simulates clients, nodes and a bad network on virtual time.

cargo run --release -p redsync-simulation -- [options]

  --hours N      simulates N hours; 150 by default
  --threads N    runs on N threads; 2 by default
  --flaws        plants each flaw instead, and says which seed finds it
";

pub(crate) enum Asked {
    Explore { hours: u64, threads: u64 },
    FindFlaws,
    Replay { seed: u64 },
    Help,
}

impl Asked {
    pub(crate) fn read() -> Result<Self, String> {
        if let Some(seed) = env::var_os("SEED") {
            let number = seed.to_str().and_then(|seed| seed.parse().ok());
            let seed = number.ok_or_else(|| format!("SEED is a whole number, not {seed:?}"))?;
            return Ok(Self::Replay { seed });
        }
        let (mut hours, mut threads, mut has_flaws) = (150, 2, false);
        let mut words = env::args().skip(1);
        while let Some(word) = words.next() {
            match &*word {
                "--hours" => hours = number(&word, words.next())?,
                "--threads" => threads = number(&word, words.next())?,
                "--flaws" => has_flaws = true,
                "--help" => return Ok(Self::Help),
                _ => return Err(format!("unknown argument {word}\n\n{HELP}")),
            }
        }
        if has_flaws {
            return Ok(Self::FindFlaws);
        }
        Ok(Self::Explore { hours, threads })
    }
}

fn number(name: &str, value: Option<String>) -> Result<u64, String> {
    let value = value.ok_or_else(|| format!("{name} needs a number"))?;
    let number: NonZeroU64 = value
        .parse()
        .map_err(|_| format!("{name} needs a whole number of at least 1, not {value}"))?;
    Ok(number.get())
}
