//! The meaning of a reply: what scripts, and the commands in their place, answer.

use std::{sync::Arc, time::Duration};

use super::{Reply, script::counter_key};
use crate::{
    FencingToken, Mode, OwnerValue,
    node::{
        AcquireVote, Answer, Entry, ExtendVote, Holder, Holders, NodeError, Operation, RaiseVote,
        ReleaseVote,
    },
};

/// What the scripts call a key that is not a lock.
const FOREIGN: &[u8] = b"foreign";

impl Reply {
    /// Reads the reply of the script or command that carries an operation out.
    pub(super) fn answer(&self, operation: Operation, entry: &Entry) -> Result<Answer, NodeError> {
        Ok(match (operation, self) {
            (Operation::Acquire, Self::Array(parts)) => Answer::Acquire(match &parts[..] {
                [Self::Integer(1)] => AcquireVote::Acquired { number: None },
                [Self::Integer(1), Self::Bytes(number)] => AcquireVote::Acquired {
                    number: Some(parse(number)?),
                },
                [Self::Integer(0), Self::Integer(left)] => AcquireVote::Taken {
                    remaining: remaining(*left),
                },
                [Self::Integer(3), Self::Integer(left)] => AcquireVote::Reserved {
                    remaining: remaining(*left),
                },
                [Self::Integer(2), Self::Integer(number)] => AcquireVote::NotALock {
                    name: key(*number, entry).ok_or_else(|| self.unexpected())?,
                },
                _ => return Err(self.unexpected()),
            }),
            (Operation::Raise, Self::Integer(1)) => Answer::Raise(RaiseVote::Raised),
            (Operation::Raise, Self::Integer(0)) => Answer::Raise(RaiseVote::Refused),
            (Operation::Extend | Operation::Heal, Self::Integer(2)) => {
                Answer::Extend(ExtendVote::Healed)
            }
            (Operation::Extend | Operation::Heal, Self::Integer(1)) => {
                Answer::Extend(ExtendVote::Extended)
            }
            (Operation::Extend | Operation::Heal, Self::Integer(0)) => {
                Answer::Extend(ExtendVote::NotOwner)
            }
            (Operation::Extend, Self::Integer(3)) => Answer::Extend(ExtendVote::Missing),
            (Operation::Release, Self::Integer(1)) => Answer::Release(ReleaseVote::Released),
            (Operation::Release, Self::Integer(0)) => Answer::Release(ReleaseVote::NotOwner),
            _ => return Err(self.unexpected()),
        })
    }

    /// Whether the script that inspects a name has found a key that is not a lock.
    pub(super) fn is_not_a_lock(&self) -> bool {
        matches!(self, Self::Array(parts) if parts.first() == Some(&Self::Bytes(FOREIGN.into())))
    }

    /// Reads the reply of the script that inspects a name. To people, a key that is not a lock is
    /// an exclusive holder.
    pub(super) fn holders(&self) -> Result<Option<Holders>, NodeError> {
        let parts = match self {
            Self::Nil => return Ok(None),
            Self::Array(parts) => &parts[..],
            _ => return Err(self.unexpected()),
        };
        let (mode, holders) = match parts {
            [Self::Bytes(mode), holders @ ..] if mode == b"exclusive" => (Mode::Exclusive, holders),
            [Self::Bytes(kind), holders @ ..] if kind == FOREIGN => (Mode::Exclusive, holders),
            [Self::Bytes(mode), holders @ ..] if mode == b"shared" => (Mode::Shared, holders),
            _ => return Err(self.unexpected()),
        };
        let holders = holders.chunks(2).map(|holder| match holder {
            [Self::Bytes(value), Self::Integer(left)] => Ok(Holder {
                // A value that is not UTF-8 is not one of ours, and the lossy text is none either.
                value: OwnerValue::from(String::from_utf8_lossy(value).into_owned()),
                remaining: remaining(*left),
            }),
            _ => Err(self.unexpected()),
        });
        Ok(Some(Holders {
            mode,
            holders: holders.collect::<Result<_, _>>()?,
        }))
    }
}

/// The key that has this number in a script: a name, or a counter behind all names.
fn key(number: i64, entry: &Entry) -> Option<Arc<str>> {
    let index = usize::try_from(number).ok()?.checked_sub(1)?;
    match index.checked_sub(entry.names.len()) {
        None => entry.names.get(index).cloned(),
        Some(index) => entry.names.get(index).map(|name| counter_key(name).into()),
    }
}

/// The remaining time of a key. A negative number means that the key has no expiry.
fn remaining(left: i64) -> Option<Duration> {
    u64::try_from(left).ok().map(Duration::from_millis)
}

fn parse(number: &[u8]) -> Result<FencingToken, NodeError> {
    let number = std::str::from_utf8(number)
        .ok()
        // Rust also reads a number with a sign.
        .filter(|number| !number.starts_with('+'))
        .and_then(|number| number.parse().ok());
    number
        .map(FencingToken::new)
        .ok_or_else(|| NodeError::Unexpected("a counter that is not a number".into()))
}
