//! Mistakes that are planted around the crate, to see that a simulation finds them.

use crate::history::Rule;

/// A mistake in a client or in a node, or a broken assumption about the nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Flaw {
    /// All attempts of a call have the same owner value.
    OneValueForAllAttempts,
    /// The validity counts from the reply. (The keys end sooner by the time of the round trip,
    /// which is the same.)
    ValidityFromTheReply,
    /// The clocks of nodes run faster than the drift allows for.
    FastClocks,
    /// A client extends its lock after the end, where nobody has the keys.
    ExtensionAfterTheEnd,
    /// An extension that a node did not answer counts as if it had.
    UnclearExtension,
    /// A node that has lost its keys is back at once.
    InstantRestart,
    /// A node grants what it has granted to another.
    GrantsEverything,
    /// A release deletes the key of whoever has it.
    ReleaseOfOthers,
    /// Shared holders are admitted beside an exclusive one.
    SharedBesideExclusive,
    /// Nodes say that they raise their counters, and do not: the token is the largest number.
    LargestNumber,
    /// Nodes count no acquisition, so that tokens grow with the clock only.
    TokensOfTheClock,
    /// The next holder of a lock that is handed over gets the same token.
    HandOverWithoutToken,
    /// Wake-ups are lost, and nobody polls.
    LostWakeUps,
    /// Wake-ups for all permits but the first are lost, and nobody polls.
    UntakenPermit,
    /// A guard is no longer extended once a node has not answered in time.
    KeepAliveGivesUp,
    /// A release that gets no answer is taken for done, and one in five deletes nothing.
    LostReleases,
    /// The release of a failed attempt overtakes its acquisition.
    ReleaseAhead,
    /// The answer to an acquisition that came too late counts in the next round that acquires the
    /// names.
    AnswerOfAnotherRound,
    /// An extension also counts the answers to earlier ones, for as long as the keys live that these
    /// have extended.
    MergedExtensions,
    /// Nodes do not reserve a name for an exclusive waiter that shared holders keep out.
    NoReservation,
    /// Keys do not expire.
    NoExpiry,
    /// A node deletes a key at once that it is to keep for the rest of a minimum hold.
    NoMinimum,
    /// An extension that arrives after the release prolongs the rest of a minimum hold.
    ProlongedMinimum,
}

impl Flaw {
    /// How many runs a flaw may take to be found. Nearly all are found by the first ones. That
    /// merged extensions let two hold a lock is rare: the 26th run was the first that found it, the
    /// 40th in an earlier state, and it may be another one when the code draws other numbers.
    pub const MOST_RUNS: u64 = 200;

    /// All flaws.
    pub const ALL: [Self; 23] = [
        Self::OneValueForAllAttempts,
        Self::ValidityFromTheReply,
        Self::FastClocks,
        Self::ExtensionAfterTheEnd,
        Self::UnclearExtension,
        Self::InstantRestart,
        Self::GrantsEverything,
        Self::ReleaseOfOthers,
        Self::SharedBesideExclusive,
        Self::LargestNumber,
        Self::TokensOfTheClock,
        Self::HandOverWithoutToken,
        Self::LostWakeUps,
        Self::UntakenPermit,
        Self::KeepAliveGivesUp,
        Self::LostReleases,
        Self::ReleaseAhead,
        Self::AnswerOfAnotherRound,
        Self::MergedExtensions,
        Self::NoReservation,
        Self::NoExpiry,
        Self::NoMinimum,
        Self::ProlongedMinimum,
    ];

    /// The rule that it breaks.
    #[must_use]
    pub const fn breaks(self) -> Rule {
        match self {
            Self::OneValueForAllAttempts
            | Self::ValidityFromTheReply
            | Self::FastClocks
            | Self::UnclearExtension
            | Self::InstantRestart
            | Self::GrantsEverything
            | Self::AnswerOfAnotherRound
            | Self::MergedExtensions
            | Self::ReleaseOfOthers
            | Self::SharedBesideExclusive => Rule::Overlap,
            Self::ExtensionAfterTheEnd => Rule::Revived,
            Self::LargestNumber | Self::TokensOfTheClock | Self::HandOverWithoutToken => {
                Rule::Token
            }
            Self::LostWakeUps | Self::UntakenPermit => Rule::IdleLock,
            Self::NoReservation => Rule::EndlessWait,
            Self::KeepAliveGivesUp => Rule::LostGuard,
            Self::LostReleases | Self::ReleaseAhead | Self::ProlongedMinimum => Rule::StaleKey,
            Self::NoExpiry => Rule::NotHealed,
            Self::NoMinimum => Rule::Minimum,
        }
    }
}
