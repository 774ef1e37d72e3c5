//! What may happen in a sequence, and the keys in it that are not locks.

use std::{collections::BTreeMap, time::Duration};

use proptest::{prelude::*, sample::select};
use proptest_state_machine::ReferenceStateMachine;

use super::operation::{NAMES, Operation};

/// The keys that are not locks, or not counters. The memory node has no such keys.
#[derive(Clone, Debug, Default)]
pub(super) struct Strange {
    pub(super) names: BTreeMap<&'static str, Kind>,
    pub(super) counters: BTreeMap<&'static str, Kind>,
}

/// A key of another program.
#[derive(Clone, Copy, Debug)]
pub(super) enum Kind {
    /// A string without an expiry.
    Text,
    List,
    Hash,
    /// One that is not a shared lock.
    SortedSet,
}

/// One step of a sequence.
#[derive(Clone, Debug)]
pub(super) enum Transition {
    Ask(Operation),
    /// A client of go-redsync sets the name, if there is no such key.
    LockOfGo(&'static str, Duration),
    /// It deletes the name, if it has set it.
    UnlockOfGo(&'static str),
    /// Somebody deletes the name, whatever it is.
    Delete(&'static str),
    /// Another program sets a key with the name.
    SetName(&'static str, Kind),
    /// ... or with that of its counter,
    SetCounter(&'static str, Kind),
    /// and the counter is what it was before.
    RestoreCounter(&'static str),
    Pass(Duration),
    /// The server forgets all scripts.
    FlushScripts,
}

pub(super) struct Machine;

impl ReferenceStateMachine for Machine {
    type State = Strange;
    type Transition = Transition;

    fn init_state() -> BoxedStrategy<Strange> {
        Just(Strange::default()).boxed()
    }

    fn transitions(_: &Strange) -> BoxedStrategy<Transition> {
        let name = || select(&NAMES);
        let expiry = select(&[60, 120, 240]).prop_map(Duration::from_secs);
        // Expiries are reached exactly, too. After the last of these, counters have expired.
        let time = select(&[1, 30, 60, 90, 25 * 60 * 60]).prop_map(Duration::from_secs);
        prop_oneof![
            40 => Operation::strategy().prop_map(Transition::Ask),
            2 => (name(), expiry).prop_map(|(name, expiry)| Transition::LockOfGo(name, expiry)),
            2 => name().prop_map(Transition::UnlockOfGo),
            1 => name().prop_map(Transition::Delete),
            1 => (name(), kind()).prop_map(|(name, kind)| Transition::SetName(name, kind)),
            1 => (name(), kind()).prop_map(|(name, kind)| Transition::SetCounter(name, kind)),
            1 => name().prop_map(Transition::RestoreCounter),
            4 => time.prop_map(Transition::Pass),
            1 => Just(Transition::FlushScripts),
        ]
        .boxed()
    }

    fn apply(mut state: Strange, transition: &Transition) -> Strange {
        match transition {
            Transition::Delete(name) => {
                state.names.remove(name);
            }
            Transition::SetName(name, kind) => {
                state.names.insert(name, *kind);
            }
            Transition::SetCounter(name, kind) => {
                state.counters.insert(name, *kind);
            }
            Transition::RestoreCounter(name) => {
                state.counters.remove(name);
            }
            Transition::Ask(_)
            | Transition::LockOfGo(..)
            | Transition::UnlockOfGo(_)
            | Transition::Pass(_)
            | Transition::FlushScripts => {}
        }
        state
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    select(&[Kind::Text, Kind::List, Kind::Hash, Kind::SortedSet])
}

impl Kind {
    /// The command that makes such a key.
    pub(super) fn command(self, key: &str) -> Vec<&str> {
        match self {
            Self::Text => vec!["SET", key, self.value()],
            Self::List => vec!["RPUSH", key, "item"],
            Self::Hash => vec!["HSET", key, "field", "value"],
            Self::SortedSet => vec!["ZADD", key, "7", "member"],
        }
    }

    /// The string, if it is one.
    pub(super) const fn value(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::List | Self::Hash | Self::SortedSet => "",
        }
    }

    /// What is read of it: the string, or the first member.
    pub(super) const fn content(self) -> &'static str {
        match self {
            Self::SortedSet => "member",
            Self::Text | Self::List | Self::Hash => self.value(),
        }
    }

    /// What `TYPE` says.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::List => "list",
            Self::Hash => "hash",
            Self::SortedSet => "zset",
        }
    }
}
