//! Fencing tokens: growing numbers by which a resource can refuse late writes.
//!
//! A process that is paused can act after its lock has expired, while another process holds the
//! lock. No lock can prevent this, but the resource can. Every acquisition of a name gets a token
//! that is larger than all earlier ones. The holder sends its token with each write, and the
//! resource refuses a token that is smaller than the largest it has seen:
//!
//! ```sql
//! UPDATE orders SET quantity = $2, fence = $3 WHERE id = $1 AND fence <= $3
//! ```
//!
//! If this updates no row, another holder has written since, and the computed value is stale. (The
//! column starts at 0. The comparison is `<=` because all writes under one lock have the same
//! token.)
//!
//! If the new value is computed from the old one, the holder has to present its token when it
//! reads, too. Otherwise a late write of an earlier holder is accepted between this read and the
//! write that follows, and is then overwritten:
//!
//! ```sql
//! UPDATE orders SET fence = $2 WHERE id = $1 AND fence <= $2 RETURNING quantity
//! ```
//!
//! A token protects only against holders that have one. Clients of go-redsync can hold the same
//! lock, and have none: what they write late, the resource cannot recognize by its token.
//!
//! The idea is described in Martin Kleppmann, "How to do distributed locking".
//!
//! ```
//! use redsync::Redsync;
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let redsync = Redsync::in_memory(3);
//! let mutex = redsync.mutex("order:42").with_fencing(true);
//!
//! let first = mutex.lock().await?;
//! let stale = first.fencing_token().expect("the mutex is fenced");
//! first.release().await?;
//!
//! let second = mutex.lock().await?;
//! assert!(second.fencing_token() > Some(stale));
//! # Ok(())
//! # }
//! ```
//!
//! # How a majority agrees on a token
//!
//! Each node has a counter per name, at `{name}:fence`. It is not enough to take the largest of
//! the counters of a majority: with counters 10, 0, 0, a holder on the first two nodes would get
//! 11, and the next holder, on the last two nodes, would get 2.
//!
//! So if the nodes that granted have different counters, the lower ones are *raised* to the largest
//! before the lock counts as acquired. A node allows this only while it keeps the lock for this
//! very attempt, and only if its counter is not already above that number. Therefore a node grants
//! a number at most once, a majority of the nodes has granted the token of a lock, and every later
//! lock involves one of these nodes.
//!
//! # What it requires of the nodes
//!
//! A counter starts from the node's wall clock: the seconds since 1970 times a million. So it need
//! not be kept for ever, and a node drops it a day after the last acquisition. This requires that
//!
//! * the wall clocks of the nodes agree to about a second,
//! * a node that has lost its data stays away for longer than that, and
//! * nothing is evicted: `maxmemory-policy noeviction`, which is the default.
//!
//! The counter of a name that is acquired more than 15,000 times a second runs ahead of the clock.
//! A node that has lost its data then has to stay away for longer.
//!
//! # Hand-overs
//!
//! A counter grows in strides of 64. A holder owns its token and the 63 numbers that follow it.
//! When the lock is [handed over](crate::Mutex::with_hand_over) within a process, the next holder
//! takes the next of these numbers. So tokens have gaps. Tokens of different names cannot be
//! compared.

use std::{fmt, time::Duration};

/// The suffix of the keys of counters. Names that end in it cannot be locked.
const COUNTER_SUFFIX: &str = ":fence";

/// Whether a key is that of a counter. No name ends as it does.
pub(crate) fn is_counter(key: &str) -> bool {
    key.ends_with(COUNTER_SUFFIX)
}

/// By how much a counter grows at each acquisition. The numbers from a token up to the next token
/// belong to its holder.
pub(crate) const STRIDE: u64 = 64;

/// How long a node keeps the counter of a name after the last acquisition.
pub(crate) const RETENTION: Duration = Duration::from_secs(24 * 60 * 60);

/// A number that grows with every acquisition of a name. See the [module docs](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FencingToken(u64);

impl FencingToken {
    /// The largest token. No node counts this far, so a larger number was never granted, and
    /// raising a counter to it would leave no room for later tokens.
    pub(crate) const MAX: Self = Self(1 << 62);

    /// Makes a token of a number that a node or a resource has stored.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// Returns the next of the numbers that belong to the token's holder.
    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// Returns the number. For a token that was granted, it fits into an `i64`, the integer type of
    /// many databases.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The agreement of the counters in one attempt.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// A quorum has granted this number.
    Token(FencingToken),
    /// The lower counters have to be raised to this number first.
    Raise(FencingToken),
    /// Fewer nodes than a quorum have returned a number.
    None,
}

/// Decides on the numbers that the nodes returned in one attempt, at most one per node.
pub(crate) fn agree(numbers: &[Option<FencingToken>], quorum: usize) -> Agreement {
    let granted = |number| numbers.iter().filter(|other| **other == number).count();
    let known = || numbers.iter().copied().filter(Option::is_some);
    if known().count() < quorum {
        return Agreement::None;
    }
    match known().find(|number| granted(*number) >= quorum).flatten() {
        Some(token) => Agreement::Token(token),
        None => known()
            .max()
            .flatten()
            .map_or(Agreement::None, Agreement::Raise),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agree_on<const N: usize>(numbers: [u64; N]) -> Agreement {
        let numbers = numbers.map(|number| (number > 0).then_some(FencingToken(number)));
        agree(&numbers, crate::quorum::majority(N))
    }

    #[test]
    fn a_number_that_a_quorum_has_granted_is_the_token() {
        assert_eq!(agree_on([7, 7, 0]), Agreement::Token(FencingToken(7)));
        // Even if a minority is ahead: its number is void.
        assert_eq!(agree_on([7, 7, 9]), Agreement::Token(FencingToken(7)));
    }

    #[test]
    fn if_counters_differ_the_lower_ones_are_raised() {
        assert_eq!(agree_on([11, 2, 0]), Agreement::Raise(FencingToken(11)));
        assert_eq!(agree_on([1, 2, 3]), Agreement::Raise(FencingToken(3)));
    }

    #[test]
    fn the_number_of_a_minority_is_not_a_token() {
        assert_eq!(agree_on([7, 0, 0]), Agreement::None);
        assert_eq!(agree_on([0, 0, 0]), Agreement::None);
    }

    #[test]
    fn a_token_is_a_number_that_fits_into_an_i64_and_is_followed_by_the_next() {
        let token = FencingToken::new(7);
        assert_eq!((token.get(), token.to_string()), (7, "7".to_owned()));
        assert_eq!(token.next(), FencingToken::new(8));
        let largest = i64::MAX.cast_unsigned();
        assert!(
            FencingToken::MAX.get() + STRIDE < largest && FencingToken::MAX.get() > largest / 4
        );
    }

    #[test]
    fn a_counter_is_kept_for_a_day() {
        assert_eq!(RETENTION.as_secs(), 86_400);
    }
}
