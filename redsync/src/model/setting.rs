//! What the checker explores: how many clients, in which modes, and how much may happen.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use tokio::time::Instant;

use super::{
    flaw::Flaw,
    world::{Orders, World},
};
use crate::{Mode, options::Options, request::Request};

/// The unit of time.
const TICK: Duration = Duration::from_millis(5);

pub(super) const NODES: usize = 3;

/// In ticks.
pub(super) const EXPIRY_TICKS: u32 = 3;

/// The part of an expiry that makes the drift one tick, together with the 2 ms that it always has,
/// because the clocks of the model run ahead by whole ticks.
const DRIFT_FACTOR: f64 = 0.2;

/// The number of ticks in which every wall clock moves on by more than a second.
pub(super) const LONG: u32 = 300;

/// The instant after this many ticks.
pub(super) fn instant(ticks: u32) -> Instant {
    static START: OnceLock<Instant> = OnceLock::new();
    *START.get_or_init(Instant::now) + TICK * ticks
}

/// The name that all clients want.
pub(super) fn names() -> &'static Arc<[Arc<str>]> {
    static NAMES: OnceLock<Arc<[Arc<str>]>> = OnceLock::new();
    NAMES.get_or_init(|| ["name".into()].into())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Client {
    pub(super) mode: Mode,
    pub(super) attempts: usize,
}

/// The largest number of attempts of a client.
pub(super) const ATTEMPTS: usize = 2;

#[derive(Clone, Debug)]
pub(super) struct Setting {
    pub(super) clients: Vec<Client>,
    pub(super) is_fenced: bool,
    /// Whether an extension sets missing keys.
    pub(super) heals: bool,
    /// Whether the counters of the nodes differ from the start, because of locks of an earlier
    /// time.
    pub(super) counters_differ: bool,
    /// How many times the first lock is handed over at once when it has been acquired.
    pub(super) early_hand_overs: u64,
    pub(super) budget: Budget,
    pub(super) flaw: Option<Flaw>,
    /// Whether every event is explored in every order, without any of the reductions.
    pub(super) is_plain: bool,
    /// What has been reached, if that is to be compared: see [`World::appearance`].
    pub(super) reached: Option<Reached>,
    /// Where a long exploration stops for a moment, and what it then starts from: see
    /// `tests::reach`.
    pub(super) milestone: Option<fn(&World) -> bool>,
    pub(super) start: Option<Box<World>>,
}

/// Hashes of what has been reached, and whether all was over then.
pub(super) type Reached = Arc<Mutex<HashSet<(u64, bool)>>>;

/// How often something may happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Budget {
    /// For each lock.
    pub(super) extensions: u8,
    /// For each lock.
    pub(super) hand_overs: u8,
    /// How much time passes. With none, keys expire when one expires early.
    pub(super) ticks: u32,
    /// How often a key expires early, if no time passes.
    pub(super) expiries: u8,
    /// By how many ticks clocks run ahead, all nodes together.
    pub(super) ticks_ahead: u8,
    /// How many commands are carried out twice.
    pub(super) duplicates: u8,
    /// How often a node loses its data.
    pub(super) losses: u8,
    /// How often a node crashes, and keeps its data.
    pub(super) crashes: u8,
    /// How often the time limit of a round ends before its verdict is clear; [`None`] if there is
    /// no limit.
    pub(super) time_outs: Option<u8>,
    /// How often the background stops waiting for an answer.
    pub(super) give_ups: u8,
}

impl Setting {
    /// Two clients, one attempt each, and nothing else.
    pub(super) fn of(budget: Budget) -> Self {
        Self {
            clients: vec![
                Client {
                    mode: Mode::Exclusive,
                    attempts: 1,
                };
                2
            ],
            is_fenced: false,
            heals: false,
            counters_differ: false,
            early_hand_overs: 0,
            budget,
            flaw: None,
            is_plain: false,
            reached: None,
            milestone: None,
            start: None,
        }
    }

    pub(super) fn fenced(self) -> Self {
        Self {
            is_fenced: true,
            ..self
        }
    }

    pub(super) fn with_different_counters(self) -> Self {
        Self {
            counters_differ: true,
            ..self.fenced()
        }
    }

    pub(super) fn with_early_hand_overs(self, early_hand_overs: u64) -> Self {
        Self {
            early_hand_overs,
            ..self.fenced()
        }
    }

    pub(super) fn healing(self) -> Self {
        Self {
            heals: true,
            ..self
        }
    }

    /// One client for each number, which says how many attempts that client makes.
    pub(super) fn with_attempts<const N: usize>(self, attempts: [usize; N]) -> Self {
        let mode = Mode::Exclusive;
        let clients = attempts.map(|attempts| Client { mode, attempts });
        Self {
            clients: clients.into(),
            ..self
        }
    }

    /// One client for each mode, with one attempt each.
    pub(super) fn with_modes<const N: usize>(self, modes: [Mode; N]) -> Self {
        let clients = modes.map(|mode| Client { mode, attempts: 1 });
        Self {
            clients: clients.into(),
            ..self
        }
    }

    pub(super) fn with_flaw(self, flaw: Flaw) -> Self {
        Self {
            flaw: Some(flaw),
            ..self
        }
    }

    pub(super) fn plain(self) -> Self {
        Self {
            is_plain: true,
            ..self
        }
    }

    /// What the clients with this mode request.
    pub(super) fn request(&self, mode: Mode) -> &'static Request {
        static REQUESTS: [OnceLock<Request>; 8] = [const { OnceLock::new() }; 8];
        let choices = [mode == Mode::Shared, self.is_fenced, self.heals];
        let number = choices
            .iter()
            .fold(0, |number, it| 2 * number + usize::from(*it));
        REQUESTS[number].get_or_init(|| make_request(mode, self.is_fenced, self.heals))
    }

    pub(super) fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// The numbers of the leases, in every order of clients that are alike.
    pub(super) fn orders(&self) -> Orders {
        let mut orders = vec![Vec::new()];
        for client in &self.clients {
            let longer = |order: &Vec<usize>| {
                let is_next = |it: &usize| !order.contains(it) && self.clients[*it] == *client;
                let next = (0..self.clients.len()).filter(is_next);
                next.map(|it| [&order[..], &[it]].concat())
                    .collect::<Vec<_>>()
            };
            orders = orders.iter().flat_map(longer).collect();
        }
        let leases = |client| client * ATTEMPTS..(client + 1) * ATTEMPTS;
        let of_leases = |order: Vec<usize>| order.into_iter().flat_map(leases).collect();
        orders.into_iter().map(of_leases).collect()
    }

    /// Whether a release does nothing if the key that it is for is gone.
    pub(super) fn releases_only_own_keys(&self) -> bool {
        !self.has(Flaw::OneValueForAllAttempts) && !self.has(Flaw::ReleaseWithoutOwner)
    }

    /// Whether no key ends before the validity of its lock does.
    pub(super) const fn has_validity(&self) -> bool {
        self.is_timed() || self.budget.expiries == 0 && self.budget.losses == 0
    }

    /// Whether time passes.
    pub(super) const fn is_timed(&self) -> bool {
        self.budget.ticks > 0
    }
}

fn make_request(mode: Mode, fencing: bool, heals: bool) -> Request {
    let mut options = Options::default();
    options.kind.mode = mode;
    options.kind.fencing = fencing;
    options.kind.heals = heals;
    options.timing.drift_factor = DRIFT_FACTOR;
    options.timing.set_expiry(TICK * EXPIRY_TICKS);
    assert_eq!(options.timing.drift(options.timing.expiry()), TICK);
    Request::new(names(), &Arc::new(options)).expect("a request")
}
