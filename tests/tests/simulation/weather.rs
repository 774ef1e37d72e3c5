//! The network, and the nodes' health.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use redsync_tests::FaultyNode;
use redsync_tests::faulty::{Fault, Gate};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::sleep;

use crate::store::Store;
use crate::{between, ms};

/// The longest time that a message takes.
pub(crate) const LATEST: Duration = ms(900);

/// The same where nothing is lost, so that a message and a release behind it arrive within an expiry,
/// for which they are waited for.
const LATE: u64 = 300;

enum Health {
    Well,
    /// The node keeps its keys, which expire nevertheless.
    Down,
    Hung(Gate),
}

pub(crate) struct Weather {
    health: Vec<Arc<Mutex<Health>>>,
    faults: Arc<AtomicU64>,
    is_over: Arc<Mutex<bool>>,
    changes: Vec<AbortHandle>,
    _tasks: JoinSet<()>,
}

impl Weather {
    pub(crate) fn over(nodes: &[FaultyNode<Store>], losses: bool, rng: &mut Rng) -> Self {
        let mut weather = Self {
            health: Vec::new(),
            faults: Arc::default(),
            is_over: Arc::default(),
            changes: Vec::new(),
            _tasks: JoinSet::new(),
        };
        for node in nodes {
            let health = Arc::new(Mutex::new(Health::Well));
            let (mut rng, mut dice) = (rng.fork(), rng.fork());
            let (faults, is_over) = (weather.faults.clone(), weather.is_over.clone());
            let state = Arc::clone(&health);
            node.plan(move |_| {
                if *is_over.lock().expect("no panic") {
                    return Fault::none();
                }
                let (fault, is_fault) = match &*state.lock().expect("no panic") {
                    Health::Down => (Fault::unreachable(), true),
                    Health::Hung(gate) => (Fault::held_request(gate), true),
                    Health::Well => message(&mut dice, losses),
                };
                faults.fetch_add(u64::from(is_fault), Ordering::Relaxed);
                fault
            });

            let (state, faults) = (Arc::clone(&health), weather.faults.clone());
            let change = weather._tasks.spawn(async move {
                loop {
                    sleep(between(&mut rng, 100, 6000)).await;
                    faults.fetch_add(1, Ordering::Relaxed);
                    let (gate, longest) = (Gate::new(), if losses { 2500 } else { LATE });
                    let ill = if losses && rng.bool() {
                        Health::Down
                    } else {
                        Health::Hung(gate.clone())
                    };
                    *state.lock().expect("no panic") = ill;
                    sleep(between(&mut rng, 10, longest)).await;
                    *state.lock().expect("no panic") = Health::Well;
                    gate.open();
                }
            });
            weather.changes.push(change);
            weather.health.push(health);
        }
        weather
    }

    /// Ends all faults, and returns how many there were.
    pub(crate) fn clear_up(&self) -> u64 {
        for change in &self.changes {
            change.abort();
        }
        for health in &self.health {
            let health = &mut *health.lock().expect("no panic");
            if let Health::Hung(gate) = std::mem::replace(health, Health::Well) {
                gate.open();
            }
        }
        *self.is_over.lock().expect("no panic") = true;
        self.faults.load(Ordering::Relaxed)
    }
}

/// The fault of a message, and whether it counts as one.
fn message(dice: &mut Rng, losses: bool) -> (Fault, bool) {
    let latest = if losses { 900 } else { LATE };
    match dice.u32(0..100) {
        0..2 if losses => (Fault::lost_request(), true),
        2..4 if losses => (Fault::lost_reply(), true),
        4..6 if losses => (Fault::broken_request(), true),
        6..8 if losses => (Fault::broken_reply(), true),
        8..12 => (Fault::late_request(between(dice, 20, latest)), true),
        12..16 => (Fault::late_reply(between(dice, 20, latest)), true),
        _ => {
            let (there, back) = (between(dice, 0, 4), between(dice, 0, 4));
            (Fault::late_request(there).and_late_reply(back), false)
        }
    }
}
