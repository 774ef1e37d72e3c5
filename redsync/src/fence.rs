//! Fencing tokens: numbers by which a resource can refuse who comes late.
//!
//! A process that is paused can act after its lock has expired and another holds it. No lock can
//! prevent that; the resource can. Every acquisition of a name gets a token larger than all before
//! it, the holder sends it along, and the resource refuses a token smaller than one it has seen:
//!
//! ```sql
//! UPDATE orders SET quantity = $2, fence = $3 WHERE id = $1 AND fence <= $3
//! ```
//!
//! If that changes no row, another has held the lock since, and what was computed is stale. (The
//! column starts at 0. Writes under one lock have one token, hence `<=`.)
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
//! let stale = first.fencing_token().expect("a fenced mutex");
//! first.release().await?;
//!
//! let second = mutex.lock().await?;
//! assert!(second.fencing_token() > Some(stale));
//! # Ok(())
//! # }
//! ```
//!
//! # How a majority agrees on a number
//!
//! Each node has a counter per name, at `{name}:fence`. The largest of a majority's counters is no
//! token: with counters 10, 0, 0, a holder on the first two nodes gets 11, and the next, on the last
//! two, gets 2. So where the counters of those who granted differ, the lower ones are *raised* to
//! the largest before the lock counts as acquired, and a node lets its counter be raised only while
//! the lock is this try's, and only from below. Each number is then claimed at most once per node, a
//! grant has claimed its token on a majority, and any later grant meets one of those nodes.
//!
//! Counters start from the node's wall clock (seconds times a million), so that they need not be
//! kept for ever: a node drops them a day after the last acquisition. That asks for wall clocks that
//! agree to a second or so, and that a node which has lost its data stays away for longer than that;
//! and for `maxmemory-policy noeviction`, the default. (A name that is acquired more than 15,000 times
//! a second runs ahead of the clock, and a node that has lost its data has to stay away for longer.)
//!
//! A counter grows in strides of 64, and the numbers up to the next are the holder's: a lock that is
//! [handed on](crate::Mutex::with_hand_over) within a process takes the next of them.
//!
//! Tokens are neither dense nor comparable between names.

use std::fmt;

/// By how much a counter grows at each acquisition: the numbers from a token up to the next belong to
/// its holder.
pub(crate) const STRIDE: u64 = 64;

/// How long a node keeps the counter of a name that is not acquired any more.
pub(crate) const RETENTION: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// A number that is larger for each acquisition of a name. See the [module docs](self).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct FencingToken(u64);

impl FencingToken {
    /// No node counts so far: what is beyond was never granted, and would leave no room for others.
    pub(crate) const MAX: Self = Self(1 << 62);

    /// The token of a number, as a node or a resource keeps it.
    #[must_use]
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The next of the numbers that belong to a token's holder.
    pub(crate) const fn next(self) -> Self {
        Self(self.0 + 1)
    }

    /// The number. It fits an `i64`, as databases have them.
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

/// What the counters of a try amount to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// A quorum has claimed this number.
    Token(FencingToken),
    /// The lower counters have to be raised to this number first.
    Raise(FencingToken),
    /// Fewer than a quorum have a number.
    None,
}

/// Decides on the numbers that the nodes returned in one try, at most one each.
pub(crate) fn agree(numbers: &[Option<FencingToken>], quorum: usize) -> Agreement {
    let claimed = |number| numbers.iter().filter(|other| **other == number).count();
    let known = || numbers.iter().copied().filter(Option::is_some);
    if known().count() < quorum {
        return Agreement::None;
    }
    match known().find(|number| claimed(*number) >= quorum).flatten() {
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
    fn what_a_quorum_has_claimed_is_the_token() {
        assert_eq!(agree_on([7, 7, 0]), Agreement::Token(FencingToken(7)));
        // Even if a minority is ahead: its claim is void.
        assert_eq!(agree_on([7, 7, 9]), Agreement::Token(FencingToken(7)));
    }

    #[test]
    fn where_counters_differ_the_lower_ones_are_raised() {
        assert_eq!(agree_on([11, 2, 0]), Agreement::Raise(FencingToken(11)));
        assert_eq!(agree_on([1, 2, 3]), Agreement::Raise(FencingToken(3)));
    }

    #[test]
    fn a_minority_is_no_token() {
        assert_eq!(agree_on([7, 0, 0]), Agreement::None);
        assert_eq!(agree_on([0, 0, 0]), Agreement::None);
    }
}
