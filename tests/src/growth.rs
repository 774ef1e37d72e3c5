//! What a process and the servers have over time, and that it does not grow.

use std::time::Duration;

/// At one time.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// When, from the beginning on.
    pub at: Duration,
    /// Resident memory of a client, in kilobytes.
    pub memory: u64,
    /// Open files and sockets of the client.
    pub files: u64,
    /// The connections of the server that has most.
    pub connections: u64,
}

/// By how much a figure may grow: by a part of what it was, and by a number.
struct Room {
    percent: u64,
    more: u64,
}

/// What an allocator may keep.
const MEMORY: Room = Room {
    percent: 30,
    more: 8 * 1024,
};

/// What faults may have left open for the moment.
const FILES: Room = Room {
    percent: 50,
    more: 24,
};

const CONNECTIONS: Room = Room {
    percent: 50,
    more: 24,
};

/// How many samples are needed.
const SAMPLES: usize = 16;

/// What can grow.
pub const FIGURES: [&str; 3] = ["kB of memory", "open files", "connections"];

/// Compares the second quarter with the last, and returns what has grown. In the first quarter, everything is
/// made for the first time.
#[must_use]
pub fn grown(samples: &[Sample]) -> Vec<String> {
    if samples.len() < SAMPLES {
        return vec![format!(
            "{} samples are too few to see growth",
            samples.len()
        )];
    }
    let quarter = samples.len() / 4;
    let early = &samples[quarter..2 * quarter];
    let late = &samples[samples.len() - quarter..];
    let figures: [(fn(&Sample) -> u64, Room); 3] = [
        (|sample| sample.memory, MEMORY),
        (|sample| sample.files, FILES),
        (|sample| sample.connections, CONNECTIONS),
    ];
    let grown = FIGURES
        .iter()
        .zip(figures)
        .filter_map(|(name, (figure, room))| {
            let (before, after) = (median(early, figure), median(late, figure));
            let is_too_much = after > before + before * room.percent / 100 + room.more;
            is_too_much.then(|| format!("from {before} to {after} {name}"))
        });
    grown.collect()
}

fn median(samples: &[Sample], figure: fn(&Sample) -> u64) -> u64 {
    let mut figures: Vec<u64> = samples.iter().map(figure).collect();
    figures.sort_unstable();
    figures[figures.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    const COUNT: u64 = 60;

    /// Samples that differ by noise, of which those in the last half are larger by this.
    fn samples(memory: u64, files: u64, connections: u64) -> Vec<Sample> {
        let sample = |number: u64| {
            // Up, down, and now and then far too much.
            let noise = number % 7 + if number % 10 == 3 { 500 } else { 0 };
            let later = |more: u64| if number < COUNT / 2 { 0 } else { more };
            Sample {
                at: Duration::from_secs(2 * number),
                memory: 14_000 + 100 * noise + later(memory),
                files: 60 + noise + later(files),
                connections: 40 + noise + later(connections),
            }
        };
        (0..COUNT).map(sample).collect()
    }

    #[test]
    fn noise_is_no_growth() {
        assert_eq!(grown(&samples(0, 0, 0)), [""; 0]);
        // Nor is what an allocator keeps, or what a fault leaves open.
        assert_eq!(grown(&samples(8_000, 20, 20)), [""; 0]);
    }

    #[test]
    fn growth_of_each_figure_is_seen() {
        for (place, figure) in FIGURES.iter().enumerate() {
            let more = |at: usize, more: u64| if at == place { more } else { 0 };
            let samples = samples(more(0, 14_000), more(1, 60), more(2, 60));
            let [found] = &grown(&samples)[..] else {
                panic!("{figure}: {:?}", grown(&samples));
            };
            assert!(found.ends_with(figure), "{found}");
        }
    }

    #[test]
    fn growth_that_goes_on_slowly_is_seen() {
        let mut samples = samples(0, 0, 0);
        for (number, sample) in (0..).zip(&mut samples) {
            sample.connections += 4 * number;
        }
        assert_eq!(grown(&samples).len(), 1, "{:?}", grown(&samples));
    }

    #[test]
    fn the_first_quarter_does_not_count() {
        let mut samples = samples(0, 0, 0);
        for sample in &mut samples[..COUNT as usize / 4] {
            sample.memory /= 10;
        }
        assert_eq!(grown(&samples), [""; 0]);
    }

    #[test]
    fn few_samples_say_nothing() {
        let few = grown(&samples(0, 0, 0)[..SAMPLES - 1]);
        assert_eq!(few, ["15 samples are too few to see growth"]);
    }
}
