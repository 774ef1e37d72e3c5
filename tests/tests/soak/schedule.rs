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
    /// The process of the server is stopped.
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
    /// The process of a client is stopped.
    ClientStopped,
}

/// All, of which some come more often.
const DECK: [Fault; 20] = [
    Fault::Killed,
    Fault::Emptied,
    Fault::Stopped,
    Fault::Stopped,
    Fault::ScriptFlush,
    Fault::ClientKill,
    Fault::OutOfMemory,
    Fault::Password,
    Fault::ReadOnly,
    Fault::HeldRequests,
    Fault::HeldReplies,
    Fault::DroppedReplies,
    Fault::Blackhole,
    Fault::Duplicated,
    Fault::Slow(Duration::ZERO),
    Fault::Reset,
    Fault::Forgotten,
    Fault::Refused,
    Fault::ClientStopped,
    Fault::ClientKilled,
];

/// How many kinds there are.
pub(crate) const KINDS: usize = DECK.len() - 1;

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
    /// What comes before any other fault comes again; the last is next.
    deck: Vec<Fault>,
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
            deck: Vec::new(),
        }
    }

    fn millis(&mut self, range: Range<u64>) -> Duration {
        Duration::from_millis(self.rng.u64(range))
    }

    /// What the fault that is next strikes, and how long it lasts.
    fn next_of_deck(&mut self) -> (Target, Fault, Duration) {
        if self.deck.is_empty() {
            self.deck = DECK.to_vec();
            // Faults of clients are rarer.
            let of_nodes =
                |fault: &Fault| !matches!(fault, Fault::ClientStopped | Fault::ClientKilled);
            self.deck.extend(DECK.into_iter().filter(of_nodes));
            self.rng.shuffle(&mut self.deck);
        }
        let fault = self.deck[self.deck.len() - 1];
        let clients = match fault {
            // The first process lives, so that its memory can be watched.
            Fault::ClientKilled => 1..self.clients.len(),
            Fault::ClientStopped => 0..self.clients.len(),
            _ => 0..0,
        };
        let target = if clients.is_empty() {
            Target::Node(self.rng.usize(..self.nodes.len()))
        } else {
            Target::Client(self.rng.usize(clients))
        };
        let fault = match fault {
            Fault::Slow(_) => Fault::Slow(self.millis(10..300)),
            fault => fault,
        };
        let lasts = match fault {
            // Up to when nothing is left that it may have granted before.
            Fault::Emptied => EXPIRY + self.millis(100..1000),
            // Often longer than a lock lives.
            Fault::ClientStopped => self.millis(100..EXPIRY.as_millis() as u64 * 2),
            // These are over at once, but the clients need a moment.
            Fault::ScriptFlush
            | Fault::ClientKill
            | Fault::Reset
            | Fault::Forgotten
            | Fault::ClientKilled => Duration::from_millis(500),
            _ => self.millis(100..1500),
        };
        (target, fault, lasts)
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
                Some((Target::Client(client), Fault::ClientStopped, lasts))
            }
            _ => None,
        }
    }

    fn draw(&mut self) -> Option<(Target, Fault, Duration)> {
        if matches!(self.plant, Some(Plant::EarlyRestart | Plant::Unfenced)) {
            return self.planted();
        }
        let (target, fault, lasts) = self.next_of_deck();
        let minority = (self.nodes.len() - 1) / 2;
        let may = matches!(target, Target::Client(_))
            || self.rng.u32(..OUTAGES) == 0
            || self.faulty() < minority;
        may.then_some((target, fault, lasts))
    }
}

impl Iterator for Schedule {
    type Item = Step;

    fn next(&mut self) -> Option<Step> {
        if self.plant.is_some_and(|plant| !plant.has_faults()) {
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
            self.deck.pop();
            return Some(Step {
                at: self.at,
                target,
                fault,
                lasts,
            });
        }
    }
}
