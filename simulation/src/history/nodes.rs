//! The health of the nodes in a history.

use std::collections::HashMap;

use super::{Call, Event, What, intervals::Intervals};

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

    /// The number of nodes.
    pub(super) fn nodes(&self) -> u32 {
        self.well.len() as u32
    }

    /// When a node was well.
    pub(super) fn of(&self, node: u32) -> &Intervals {
        &self.well[node as usize]
    }
}

/// When processes stood still.
#[derive(Default)]
pub(super) struct Stops(HashMap<u32, Intervals>);

impl Stops {
    /// When processes stood still.
    pub(super) fn of_processes(events: &[Event]) -> Self {
        Self::between(events, |what| match what {
            What::Stops { process } => Some((*process, None, true)),
            What::Continues { process } => Some((*process, None, false)),
            _ => None,
        })
    }

    /// When processes stood still, or one of their calls did. One that was killed stands for ever.
    pub(super) fn of_calls(events: &[Event]) -> Self {
        Self::between(events, |what| match what {
            What::Continues { process } => Some((*process, None, false)),
            What::Stops { process } | What::Killed { process } => Some((*process, None, true)),
            What::Stands { call } => Some((call.process, Some(*call), true)),
            What::Goes { call } | What::Leaves { call } | What::Holds { call, .. } => {
                Some((call.process, Some(*call), false))
            }
            _ => None,
        })
    }

    /// Whether a process went on from one instant to another.
    pub(super) fn went(&self, process: u32, from: u64, to: u64) -> bool {
        let stops = self.0.get(&process);
        stops.is_none_or(|stops| stops.time_within(from, to) == 0)
    }

    fn between(
        events: &[Event],
        change: impl Fn(&What) -> Option<(u32, Option<Call>, bool)>,
    ) -> Self {
        let end = events.last().map_or(0, |event| event.at) + 1;
        let mut open: HashMap<(u32, Option<Call>), u64> = HashMap::new();
        let mut stops: HashMap<u32, Vec<(u64, u64)>> = HashMap::new();
        for Event { at, what } in events {
            match change(what) {
                Some((process, call, true)) => {
                    open.entry((process, call)).or_insert(*at);
                }
                Some((process, call, false)) => {
                    if let Some(since) = open.remove(&(process, call)) {
                        stops.entry(process).or_default().push((since, *at));
                    }
                }
                None => {}
            }
        }
        for ((process, _), since) in open {
            stops.entry(process).or_default().push((since, end));
        }
        let merged = |(process, stops)| (process, Intervals::of_at_least(1, stops));
        Self(stops.into_iter().map(merged).collect())
    }
}
