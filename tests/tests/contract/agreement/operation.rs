//! Operations of a node, and their answers.

use std::{fmt, time::Duration};

use proptest::{prelude::*, sample::select};
use redsync::{
    FencingToken, Mode, NodeError,
    node::{AcquireVote, Entry, ExtendVote, Holders, Node, RaiseVote, ReleaseVote},
};

/// The names that all sequences lock.
pub(super) const NAMES: [&str; 3] = ["a", "b", "c"];

/// Counters start here, above the wall clock, so that they depend only on the operations.
pub(super) const COUNTERS: u64 = 4_000_000_000_000_000_000;

/// By how much remaining times may differ. Times that are meant to differ do so by at least a
/// second.
const TOLERANCE: Duration = Duration::from_millis(900);

/// One operation.
#[derive(Clone)]
pub(super) enum Operation {
    Acquire(Entry),
    Raise(Entry, FencingToken),
    /// Extends, with a token to raise the counters to, and perhaps sets missing names.
    Extend(Entry, Option<FencingToken>, bool),
    Release(Entry),
    ReleaseAfter(Entry, Duration),
    Inspect(&'static str),
    /// Releases a name for whoever holds it.
    ForceRelease(&'static str),
}

/// The answer of a node.
#[derive(Debug)]
pub(super) enum Answer {
    Acquire(AcquireVote),
    Raise(RaiseVote),
    Extend(ExtendVote),
    Release(ReleaseVote),
    Inspect(Option<Holders>),
    ForceRelease(Vec<ReleaseVote>),
}

impl Operation {
    pub(super) fn strategy() -> impl Strategy<Value = Self> {
        let exclusive = || entry().prop_map(|entry| entry.with_mode(Mode::Exclusive));
        let kept = select(&[30, 90, 180]).prop_map(Duration::from_secs);
        prop_oneof![
            8 => entry().prop_map(Self::Acquire),
            2 => (exclusive(), token()).prop_map(|(entry, token)| Self::Raise(entry, token)),
            3 => (entry(), any::<bool>()).prop_map(|(entry, heal)| Self::Extend(entry, None, heal)),
            2 => (exclusive(), token(), any::<bool>())
                .prop_map(|(entry, token, heal)| Self::Extend(entry, Some(token), heal)),
            4 => entry().prop_map(Self::Release),
            2 => (entry(), kept).prop_map(|(entry, time)| Self::ReleaseAfter(entry, time)),
            1 => select(&NAMES).prop_map(Self::Inspect),
            1 => select(&NAMES).prop_map(Self::ForceRelease),
        ]
    }

    pub(super) async fn ask<N: Node>(&self, node: &N) -> Result<Answer, NodeError> {
        Ok(match self {
            Self::Acquire(entry) => Answer::Acquire(node.acquire(entry).await?),
            Self::Raise(entry, token) => Answer::Raise(node.raise(entry, *token).await?),
            Self::Extend(entry, token, heal) => {
                Answer::Extend(node.extend(entry, *token, *heal).await?)
            }
            Self::Release(entry) => Answer::Release(node.release(entry).await?),
            Self::ReleaseAfter(entry, time) => {
                Answer::Release(node.release_after(entry, *time).await?)
            }
            Self::Inspect(name) => Answer::Inspect(node.inspect(name).await?),
            Self::ForceRelease(name) => {
                let mut votes = Vec::new();
                if let Some(found) = node.inspect(name).await? {
                    // A key without an expiry is not a lock.
                    for holder in found.holders.iter().filter(|it| it.remaining.is_some()) {
                        let entry = Entry::new(name, holder.value.clone(), EXPIRY);
                        votes.push(node.release(&entry.with_mode(found.mode)).await?);
                    }
                }
                Answer::ForceRelease(votes)
            }
        })
    }

    /// The entry, if the operation has one.
    pub(super) const fn entry(&self) -> Option<&Entry> {
        match self {
            Self::Acquire(entry)
            | Self::Raise(entry, _)
            | Self::Extend(entry, ..)
            | Self::Release(entry)
            | Self::ReleaseAfter(entry, _) => Some(entry),
            Self::Inspect(_) | Self::ForceRelease(_) => None,
        }
    }
}

/// The expiry where it does not matter.
pub(super) const EXPIRY: Duration = Duration::from_secs(60);

fn entry() -> impl Strategy<Value = Entry> {
    let names = prop_oneof![
        // Mostly one name, and mostly the same one, so that the entries meet.
        4 => Just(vec![NAMES[0]]),
        2 => select(&NAMES).prop_map(|name| vec![name]),
        2 => Just(vec![NAMES[0], NAMES[1]]),
        1 => Just(vec![NAMES[1], NAMES[2]]),
        1 => Just(NAMES.to_vec()),
    ];
    let value = select(&["one", "two", "three"]);
    let expiry = select(&[60, 120, 240]).prop_map(Duration::from_secs);
    (names, value, expiry, 0..7).prop_map(|(names, value, expiry, kind)| {
        let entry = Entry::new("", value.into(), expiry).with_names(names);
        match kind {
            0..2 => entry.with_mode(Mode::Shared),
            2 => entry.with_fencing(true),
            3 => entry.with_fencing(true).with_repetition(true),
            4 => entry.with_repetition(true),
            _ => entry,
        }
    })
}

/// About as large as the counters are.
fn token() -> impl Strategy<Value = FencingToken> {
    (0..2_000_u64).prop_map(|above| FencingToken::new(COUNTERS + above))
}

impl Answer {
    pub(super) fn agrees_with(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Acquire(AcquireVote::Taken { remaining }),
                Self::Acquire(AcquireVote::Taken { remaining: other }),
            )
            | (
                Self::Acquire(AcquireVote::Reserved { remaining }),
                Self::Acquire(AcquireVote::Reserved { remaining: other }),
            ) => are_close(*remaining, *other),
            (
                Self::Acquire(AcquireVote::Acquired { number }),
                Self::Acquire(AcquireVote::Acquired { number: other }),
            ) => number.map(from_counter) == other.map(from_counter),
            (Self::Acquire(one), Self::Acquire(other)) => one == other,
            (Self::Raise(one), Self::Raise(other)) => one == other,
            (Self::Extend(one), Self::Extend(other)) => one == other,
            (Self::Release(one), Self::Release(other)) => one == other,
            (Self::Inspect(one), Self::Inspect(other)) => are_same(one.as_ref(), other.as_ref()),
            (Self::ForceRelease(one), Self::ForceRelease(other)) => one == other,
            _ => false,
        }
    }
}

/// A number that a counter has grown to. One below the start comes from the wall clock, which the
/// two sides read at different times, after the counter has expired.
fn from_counter(number: FencingToken) -> Option<u64> {
    Some(number.get()).filter(|number| *number >= COUNTERS)
}

pub(super) fn are_same(one: Option<&Holders>, other: Option<&Holders>) -> bool {
    match (one, other) {
        (None, None) => true,
        (Some(one), Some(other)) => {
            one.mode == other.mode
                && one.holders.len() == other.holders.len()
                && one.holders.iter().all(|held| {
                    let other = other.holders.iter().find(|other| other.value == held.value);
                    other.is_some_and(|other| are_close(held.remaining, other.remaining))
                })
        }
        _ => false,
    }
}

fn are_close(one: Option<Duration>, other: Option<Duration>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.abs_diff(other) < TOLERANCE,
        (None, None) => true,
        _ => false,
    }
}

/// On one line, with the owner value, which the entry itself hides.
impl fmt::Debug for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self {
            Self::Acquire(_) => "acquire",
            Self::Raise(..) => "raise",
            Self::Extend(..) => "extend",
            Self::Release(_) => "release",
            Self::ReleaseAfter(..) => "release later",
            Self::Inspect(name) => return write!(f, "inspect {name}"),
            Self::ForceRelease(name) => return write!(f, "force the release of {name}"),
        };
        if let Some(entry) = self.entry() {
            let value = entry.value.as_str();
            write!(f, "{name} {value:?}: {entry:?}")?;
        }
        match self {
            Self::Raise(_, token) => write!(f, ", {token}"),
            Self::Extend(_, token, heal) => write!(f, ", {token:?}, heal {heal}"),
            Self::ReleaseAfter(_, time) => write!(f, ", {time:?}"),
            _ => Ok(()),
        }
    }
}
