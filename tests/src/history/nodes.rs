//! The health of the nodes in a history.

use std::collections::HashMap;

use super::{Event, What, intervals::Intervals};

/// When nodes were well.
pub(super) struct Health {
    well: Vec<Intervals>,
    majority: Intervals,
}

impl Health {
    pub(super) fn new(events: &[Event], nodes: u32) -> Self {
        let end = events.last().map_or(0, |event| event.at) + 1;
        let mut well: Vec<Vec<(u64, u64)>> = vec![Vec::new(); nodes as usize];
        // How many faults each node has, and since when it has had none.
        let mut states = vec![(0_u32, 0); nodes as usize];
        for Event { at, what } in events {
            match what {
                What::Ill { node } => {
                    let (faults, since) = &mut states[*node as usize];
                    if *faults == 0 {
                        well[*node as usize].push((*since, *at));
                    }
                    *faults += 1;
                }
                What::Well { node } => {
                    let (faults, since) = &mut states[*node as usize];
                    *faults = faults.saturating_sub(1);
                    *since = *at;
                }
                _ => {}
            }
        }
        for (well, (faults, since)) in well.iter_mut().zip(states) {
            if faults == 0 {
                well.push((since, end));
            }
        }
        let quorum = nodes as usize / 2 + 1;
        let majority = Intervals::of_at_least(quorum, well.iter().flatten().copied());
        let well = well.into_iter().map(|well| Intervals::of_at_least(1, well));
        Self {
            well: well.collect(),
            majority,
        }
    }

    /// When a majority was well.
    pub(super) const fn majority(&self) -> &Intervals {
        &self.majority
    }

    /// When a node was well.
    pub(super) fn of(&self, node: u32) -> &Intervals {
        &self.well[node as usize]
    }
}

/// When processes stood still.
pub(super) fn stops(events: &[Event]) -> HashMap<u32, Intervals> {
    let end = events.last().map_or(0, |event| event.at) + 1;
    let mut open: HashMap<u32, u64> = HashMap::new();
    let mut stops: HashMap<u32, Vec<(u64, u64)>> = HashMap::new();
    for Event { at, what } in events {
        match what {
            What::Stops { process } => {
                open.entry(*process).or_insert(*at);
            }
            What::Continues { process } => {
                if let Some(since) = open.remove(process) {
                    stops.entry(*process).or_default().push((since, *at));
                }
            }
            _ => {}
        }
    }
    for (process, since) in open {
        stops.entry(process).or_default().push((since, end));
    }
    let merged = |(process, stops)| (process, Intervals::of_at_least(1, stops));
    stops.into_iter().map(merged).collect()
}
