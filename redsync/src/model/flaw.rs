//! Mistakes that are planted to see that the checker finds them.

/// A mistake in the protocol, or a broken assumption about the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flaw {
    /// All attempts of a client have the same owner value.
    OneValueForAllAttempts,
    /// The validity counts from the last reply instead of from before the first command.
    ValidityFromTheReply,
    /// The validity is longer by one unit of drift.
    TooLittleDrift,
    /// An extension counts although the validity was over.
    ExtensionAfterTheEnd,
    /// The votes of several extensions are counted together.
    MergedExtensions,
    /// An extension that too few nodes have answered counts.
    UnclearExtension,
    /// A node that has lost its data is back at once.
    InstantRestart,
    /// The token is the largest number, and lower counters are not raised.
    LargestNumber,
    /// A node raises its counter for a lease that does not have its key.
    RaiseWithoutKey,
    /// A node acknowledges a raise if its counter is at or above the token.
    RaiseOfAtLeast,
    /// The next holder of a lock that is handed over gets the same token.
    HandOverWithoutToken,
    /// A lock is handed over more often than its holder has numbers.
    HandOverWithoutEnd,
    /// A release does not wait for the acquisition that is under way.
    ReleaseAhead,
    /// A release is not repeated, although an acquisition may arrive after it.
    ReleaseOnce,
    /// A key does not expire.
    NoExpiry,
    /// A command that waits for another one of its lease is forgotten.
    ForgottenCommand,
    /// A node deletes the key for a lease that does not own it.
    ReleaseWithoutOwner,
    /// A node deletes the key of several shared holders for one of them.
    ReleaseOfAllReaders,
    /// A node admits a shared holder beside an exclusive one.
    ReaderBesideWriter,
}
