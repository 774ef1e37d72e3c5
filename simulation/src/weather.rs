//! What happens to the network and to the servers: calm and storms, one after the other.

use std::{sync::Arc, time::Duration};

use fastrand::Rng;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

use super::{
    Flaw,
    chance::{ms, whole},
    link::{Cut, Severity, Wire},
    server::{Illness, SKEW, Server, State},
    setting::{EXPIRY, LONGEST_FAULT},
};

/// For how long a server stays away that has lost its keys: the longest expiry by any clock, and,
/// as tokens start from the wall clock, a second and the difference between two wall clocks.
const AWAY: Duration = ms(1000 + SKEW)
    .saturating_add(EXPIRY)
    .saturating_add(ms(20));

/// A server, with the ways to it.
#[derive(Clone)]
pub(super) struct Site {
    pub(super) server: Arc<Server>,
    pub(super) wires: Arc<std::sync::Mutex<Vec<Arc<Wire>>>>,
}

/// Calm and storms up to an instant, after which all is well.
pub(super) async fn weather(sites: Vec<Site>, severity: Severity, mut rng: Rng, end: Instant) {
    while Instant::now() < end {
        let calm = whole(&mut rng, 5_000, 60_000);
        sleep_until(end.min(Instant::now() + calm)).await;
        let storm_ends = end.min(Instant::now() + whole(&mut rng, 2_000, 60_000));
        if Instant::now() >= storm_ends {
            break;
        }
        severity.set([1, 3, 10, 20][rng.usize(..4)]);
        let mut storms = JoinSet::new();
        for site in &sites {
            // Some of them have no faults but those of messages.
            if rng.u8(..3) > 0 {
                storms.spawn(storm(site.clone(), rng.fork(), storm_ends));
            }
        }
        sleep_until(storm_ends).await;
        severity.set(0);
        // A fault that has begun ends by itself.
        while storms.join_next().await.is_some() {}
    }
}

/// Faults of one server, one after the other.
async fn storm(site: Site, mut rng: Rng, end: Instant) {
    loop {
        sleep(whole(&mut rng, 50, 8_000)).await;
        if Instant::now() >= end {
            return;
        }
        let illness = Illness::of(&site.server);
        let time = if rng.bool() {
            whole(&mut rng, 5, 400)
        } else {
            whole(&mut rng, 5, LONGEST_FAULT)
        };
        match rng.u8(..10) {
            0..3 => site.stand(time).await,
            3..5 => site.restart(time).await,
            5 if site.server.is(Flaw::InstantRestart) => {
                site.lose();
            }
            5 => site.restart_without_data(time).await,
            6 | 7 => site.cut(&mut rng, time, true).await,
            _ => site.cut(&mut rng, time, false).await,
        }
        drop(illness);
    }
}

impl Site {
    async fn stand(&self, time: Duration) {
        self.set(State::Stands, false);
        sleep(time).await;
        self.set(State::Runs, false);
    }

    /// It keeps its keys, which expire nevertheless.
    async fn restart(&self, time: Duration) {
        self.set(State::Down, false);
        sleep(time).await;
        self.set(State::Runs, true);
    }

    async fn restart_without_data(&self, time: Duration) {
        self.set(State::Down, false);
        self.server.lose();
        sleep(AWAY + time).await;
        self.set(State::Runs, true);
    }

    fn lose(&self) {
        self.set(State::Down, false);
        self.server.lose();
        self.set(State::Runs, true);
    }

    fn set(&self, state: State, is_start: bool) {
        self.server.running.change(|now| {
            now.state = state;
            now.starts += u32::from(is_start);
        });
    }

    /// Nothing gets through between the server and one process, or all.
    async fn cut(&self, rng: &mut Rng, time: Duration, all: bool) {
        let cut = Cut {
            is_silent: rng.bool(),
            breaks: rng.bool(),
        };
        let mut wires = self.wires.lock().expect("no panic").clone();
        if !all && !wires.is_empty() {
            wires = vec![wires.swap_remove(rng.usize(..wires.len()))];
        }
        for wire in &wires {
            wire.cut.change(|state| *state = Some(cut));
        }
        sleep(time).await;
        for wire in &wires {
            wire.cut.change(|state| *state = None);
        }
    }
}
