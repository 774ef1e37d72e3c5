//! The actions: what may happen next.

/// An action of a lease, before which some of its answers are heard, or any other action.
///
/// Most answers change nothing but what their lease knows: see [`World::is_private`]. Nothing else
/// depends on when they arrive, so they arrive just before the lease acts. Worlds in which a lease
/// has heard an answer and has not acted since need not be explored: they differ in nothing but
/// what can be heard later, too.
///
/// [`World::is_private`]: super::world::World::is_private
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) heard: Answers,
    pub(super) action: Action,
}

impl From<Action> for Step {
    fn from(action: Action) -> Self {
        let heard = Answers::default();
        Self { heard, action }
    }
}

/// A set of messages, which are answers to one lease.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Answers(u64);

impl Answers {
    /// All sets of these messages.
    pub(super) fn all_of(messages: &[usize]) -> impl Iterator<Item = Self> {
        assert!(
            messages.iter().all(|message| *message < 64),
            "too many messages"
        );
        let is_in = |set: u32, place: usize| set & (1 << place) != 0;
        (0..1 << messages.len()).map(move |set| {
            let messages = messages.iter().enumerate();
            let chosen = messages.filter(|(place, _)| is_in(set, *place));
            Self(chosen.fold(0, |all, (_, message)| all | 1 << message))
        })
    }

    pub(super) fn iter(self) -> impl DoubleEndedIterator<Item = usize> {
        (0..64).filter(move |message| self.0 & (1 << message) != 0)
    }

    /// Where another message is when these have been removed.
    pub(super) fn place_without(self, message: usize) -> usize {
        message - self.iter().filter(|heard| *heard < message).count()
    }
}

/// Something that may happen. Messages and leases have numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Action {
    /// A client starts an attempt.
    Start {
        client: usize,
    },
    /// A message arrives: at its server, which carries it out, or back at its lease.
    Deliver {
        message: usize,
    },
    /// A server carries a command out that will arrive again.
    Duplicate {
        message: usize,
    },
    /// A lease acts on a clear verdict.
    Decide {
        lease: usize,
    },
    /// The time limit of a round ends, and the lease acts on the votes so far.
    TimeOut {
        lease: usize,
    },
    /// The background stops waiting for an answer that others wait for.
    GiveUp {
        lease: usize,
        round: usize,
        node: usize,
    },
    Extend {
        lease: usize,
    },
    HandOver {
        lease: usize,
    },
    Release {
        lease: usize,
    },
    /// Time passes. The clock of one node may get ahead by a tick.
    Tick {
        ahead: Option<usize>,
    },
    /// A key expires early.
    Expire {
        node: usize,
    },
    /// A node loses its data, and stays away.
    LoseData {
        node: usize,
    },
    /// A node crashes, and stays away for a while. It keeps its data. Commands on their way to it
    /// are lost, and their leases do not know whether it has carried them out.
    Crash {
        node: usize,
    },
    /// A node is back: if it had lost its data, after a long time.
    Return {
        node: usize,
    },
}
