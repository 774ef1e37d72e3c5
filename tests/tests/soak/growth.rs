//! What a process and the servers have over time, and that it does not grow.

use std::time::Duration;

/// At one time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sample {
    pub(crate) at: Duration,
    /// Resident memory of a client, in kilobytes.
    pub(crate) memory: u64,
    /// Open files and sockets of the client.
    pub(crate) files: u64,
    /// The connections of the server that has most.
    pub(crate) connections: u64,
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
pub(crate) const FIGURES: [&str; 3] = ["kB of memory", "open files", "connections"];

/// Compares the second quarter with the last, and returns what has grown. In the first quarter, everything is
/// made for the first time.
pub(crate) fn grown(samples: &[Sample]) -> Vec<String> {
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
