//! What a node has to answer: what the memory node answers, unless one of the keys is not a lock.

use redsync::{
    Mode,
    node::{AcquireVote, Entry, ExtendVote, Holder, Holders, MemoryNode, Node, RaiseVote},
};

use super::{
    machine::{Kind, Strange},
    operation::{Answer, Operation},
};

/// What a node has to answer.
#[derive(Debug)]
pub(super) enum Expected {
    Answer(Answer),
    /// An error, because a counter is not a number. Nothing is changed.
    Error,
    /// Such an error, or this answer, depending on which counter is read first. Nothing is changed.
    ErrorOr(Answer),
}

impl Expected {
    /// Carries the operation out on the memory node, if a server with these keys would carry it
    /// out.
    pub(super) async fn of(operation: &Operation, memory: &MemoryNode, strange: &Strange) -> Self {
        if let Some(expected) = Self::without_memory(operation, memory, strange).await {
            return expected;
        }
        let answer = operation.ask(memory).await;
        Self::Answer(answer.expect("memory does not fail"))
    }

    async fn without_memory(
        operation: &Operation,
        memory: &MemoryNode,
        strange: &Strange,
    ) -> Option<Self> {
        if let Operation::Inspect(name) = operation {
            let kind = *strange.names.get(name)?;
            return Some(Self::Answer(Answer::Inspect(foreign(kind))));
        }
        let entry = operation.entry()?;
        let strange_name = first_in(entry, |name| strange.names.contains_key(name));
        let strange_counter = first_in(entry, |name| strange.counters.contains_key(name));
        match operation {
            Operation::Acquire(entry) => {
                let name = match (strange_name, strange_counter) {
                    (Some(name), _) => name.into(),
                    (None, Some(name)) if entry.fenced && !others_hold(memory, entry).await => {
                        format!("{{{name}}}:fence").into()
                    }
                    _ => return None,
                };
                Some(Self::Answer(Answer::Acquire(AcquireVote::NotALock {
                    name,
                })))
            }
            Operation::Raise(entry, _) => {
                strange_counter?;
                let refused = Answer::Raise(RaiseVote::Refused);
                Some(
                    if strange_name.is_none() && is_held_by(memory, entry).await {
                        Self::ErrorOr(refused)
                    } else {
                        Self::Answer(refused)
                    },
                )
            }
            Operation::Extend(entry, token, heal) => {
                if strange_name.is_some() {
                    return Some(Self::Answer(Answer::Extend(ExtendVote::NotOwner)));
                }
                token.and(strange_counter)?;
                if !is_held_by(memory, entry).await {
                    // Changes nothing, because not all names are held.
                    let vote = memory.extend(entry, None, false).await;
                    let vote = vote.expect("memory does not fail");
                    if vote == ExtendVote::NotOwner || !heal {
                        return Some(Self::Answer(Answer::Extend(vote)));
                    }
                }
                Some(Self::Error)
            }
            // Whoever releases or forces a release finds that nobody holds such a name, as in
            // memory.
            _ => None,
        }
    }

    pub(super) fn is_met_by<E>(&self, found: &Result<Answer, E>) -> bool {
        match (self, found) {
            (Self::Answer(expected) | Self::ErrorOr(expected), Ok(found)) => {
                expected.agrees_with(found)
            }
            (Self::Error | Self::ErrorOr(_), Err(_)) => true,
            _ => false,
        }
    }
}

/// A key that is not a lock, as people see it.
fn foreign(kind: Kind) -> Option<Holders> {
    let holder = Holder {
        value: kind.value().into(),
        remaining: None,
    };
    Some(Holders {
        mode: Mode::Exclusive,
        holders: vec![holder],
    })
}

fn first_in(entry: &Entry, is_strange: impl Fn(&str) -> bool) -> Option<&str> {
    let mut names = entry.names.iter().map(|name| &**name);
    names.find(|name| is_strange(name))
}

/// Whether another entry holds one of the names.
async fn others_hold(memory: &MemoryNode, entry: &Entry) -> bool {
    let mut others = false;
    for name in entry.names.iter() {
        let found = memory.inspect(name).await.expect("memory does not fail");
        others |= found.is_some_and(|found| !holds(&found, entry));
    }
    others
}

/// Whether the entry holds all of its names.
async fn is_held_by(memory: &MemoryNode, entry: &Entry) -> bool {
    let mut all = true;
    for name in entry.names.iter() {
        let found = memory.inspect(name).await.expect("memory does not fail");
        all &= found.is_some_and(|found| holds(&found, entry));
    }
    all
}

fn holds(found: &Holders, entry: &Entry) -> bool {
    let mut holders = found.holders.iter();
    found.mode == entry.mode && holders.any(|holder| holder.value == entry.value)
}
