//! Which fault comes when: the same for the same seed.

use std::{ops::Range, time::Duration};

use fastrand::Rng;

use crate::{EXPIRY, plant::Plant};

/// Pauses between the beginnings of two faults, in milliseconds.
const PAUSES: Range<u64> = 20..400;

/// How long a target is left alone after a fault, in milliseconds.
const REST: Range<u64> = 100..1000;

/// One of how many faults may take more nodes than a minority.
const OUTAGES: u32 = 8;

/// One of how many faults is one of a client.
const OF_CLIENTS: u32 = 25;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Node(usize),
    Client(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fault {
    /// The server is killed and comes back with its data.
    Killed,
    /// The server is killed and comes back without its data.
    Emptied,
    /// The process, of a server or of a client, is stopped.
    Stopped,
    /// The server forgets its scripts.
    ScriptFlush,
    /// The server closes all connections of its clients.
    ClientKill,
    /// The server has no memory left.
    OutOfMemory,
    /// The server has another password.
    Password,
    /// The server accepts no writes.
    ReadOnly,
    /// Requests arrive late.
    HeldRequests,
    /// Replies arrive late.
    HeldReplies,
    /// Requests arrive, replies do not.
    DroppedReplies,
    /// Nothing arrives, and no connection ends.
    Blackhole,
    /// Requests arrive twice, replies do not arrive.
    Duplicated,
    /// Everything takes longer.
    Slow(Duration),
    /// All connections are reset.
    Reset,
    /// All connections are forgotten: half open, as by a firewall.
    Forgotten,
    /// Connections are refused.
    Refused,
    /// The process of a client is killed, and another takes its place.
    ClientKilled,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    /// When it begins, if nothing has held up the schedule.
    pub(crate) at: Duration,
    pub(crate) target: Target,
    pub(crate) fault: Fault,
    pub(crate) lasts: Duration,
}

/// Faults without end.
pub(crate) struct Schedule {
    rng: Rng,
    at: Duration,
    nodes: Vec<Duration>,
    clients: Vec<Duration>,
    plant: Option<Plant>,
}

impl Schedule {
    pub(crate) fn new(seed: u64, nodes: usize, clients: usize, plant: Option<Plant>) -> Self {
        Self {
            rng: Rng::with_seed(seed),
            // The clients begin in peace.
            at: Duration::from_secs(1),
            nodes: vec![Duration::ZERO; nodes],
            clients: vec![Duration::ZERO; clients],
            plant,
        }
    }

    fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.rng.u64(range))
    }

    /// A fault of a node, and how long it lasts.
    fn of_node(&mut self) -> (Fault, Duration) {
        let fault = match self.rng.u32(..18) {
            0 => Fault::Killed,
            1 => Fault::Emptied,
            2 | 3 => Fault::Stopped,
            4 => Fault::ScriptFlush,
            5 => Fault::ClientKill,
            6 => Fault::OutOfMemory,
            7 => Fault::Password,
            8 => Fault::ReadOnly,
            9 => Fault::HeldRequests,
            10 => Fault::HeldReplies,
            11 => Fault::DroppedReplies,
            12 => Fault::Blackhole,
            13 => Fault::Duplicated,
            14 => Fault::Slow(self.millis(10..300)),
            15 => Fault::Reset,
            16 => Fault::Forgotten,
            _ => Fault::Refused,
        };
        let lasts = match fault {
            // Up to when nothing is left that it may have granted before.
            Fault::Emptied => EXPIRY + self.millis(100..1000),
            // These are over at once, but the clients need a moment.
            Fault::ScriptFlush | Fault::ClientKill | Fault::Reset | Fault::Forgotten => {
                Duration::from_millis(500)
            }
            _ => self.millis(100..1500),
        };
        (fault, lasts)
    }

    fn of_client(&mut self) -> (Target, Fault, Duration) {
        if self.rng.bool() {
            // The first process lives, so that its memory can be watched.
            let client = self.rng.usize(1..self.clients.len());
            let lasts = Duration::from_millis(500);
            return (Target::Client(client), Fault::ClientKilled, lasts);
        }
        let client = self.rng.usize(..self.clients.len());
        // Often longer than a lock lives.
        let longest = EXPIRY.as_millis() as u64 * 2;
        let lasts = self.millis(100..longest);
        (Target::Client(client), Fault::Stopped, lasts)
    }

    /// The nodes that have a fault now.
    fn faulty(&self) -> usize {
        self.nodes.iter().filter(|until| **until > self.at).count()
    }

    fn planted(&mut self) -> Option<(Target, Fault, Duration)> {
        match self.plant? {
            Plant::EarlyRestart => {
                // In turn, so that the data of a majority is lost while a lock lives, also if a start takes long.
                let majority = 0..=self.nodes.len() / 2;
                let node = majority.min_by_key(|node| self.nodes[*node])?;
                Some((Target::Node(node), Fault::Emptied, Duration::ZERO))
            }
            Plant::Unfenced => {
                let client = self.rng.usize(..self.clients.len());
                let longest = EXPIRY.as_millis() as u64;
                let lasts = EXPIRY + self.millis(500..longest);
                Some((Target::Client(client), Fault::Stopped, lasts))
            }
            Plant::Unlocked | Plant::Leak => None,
        }
    }

    fn draw(&mut self) -> Option<(Target, Fault, Duration)> {
        if matches!(self.plant, Some(Plant::EarlyRestart | Plant::Unfenced)) {
            return self.planted();
        }
        if self.rng.u32(..OF_CLIENTS) == 0 {
            return Some(self.of_client());
        }
        let node = self.rng.usize(..self.nodes.len());
        let minority = (self.nodes.len() - 1) / 2;
        let may = self.rng.u32(..OUTAGES) == 0 || self.faulty() < minority;
        let (fault, lasts) = self.of_node();
        may.then_some((Target::Node(node), fault, lasts))
    }
}

impl Iterator for Schedule {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.plant == Some(Plant::Leak) {
            // Faults would end connections that are kept.
            return None;
        }
        loop {
            let pause = match self.plant {
                Some(Plant::EarlyRestart) => self.millis(1..20),
                _ => self.millis(PAUSES),
            };
            self.at += pause;
            let rest = match self.plant {
                Some(Plant::EarlyRestart) => Duration::ZERO,
                _ => self.millis(REST),
            };
            let Some((target, fault, lasts)) = self.draw() else {
                continue;
            };
            let busy = match target {
                Target::Node(node) => &mut self.nodes[node],
                Target::Client(client) => &mut self.clients[client],
            };
            if *busy > self.at {
                continue;
            }
            *busy = self.at + lasts + rest;
            return Some(Step {
                at: self.at,
                target,
                fault,
                lasts,
            });
        }
    }
}
