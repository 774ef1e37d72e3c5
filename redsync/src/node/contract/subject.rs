//! The node under test, and how it is asked.

use std::{fmt::Debug, time::Duration};

use crate::{
    FencingToken, Mode, NodeError, OwnerValue,
    node::{AcquireVote, Entry, ExtendVote, Holder, Holders, Node, RaiseVote, ReleaseVote},
};

/// An expiry that does not pass during a check.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// An expiry that is waited for.
pub(super) const SHORT: Duration = Duration::from_millis(500);

/// After this long what was set for [`SHORT`] is gone: clocks tick in milliseconds, and need not
/// run at the same rate to the last per mille.
const PASSED: Duration = Duration::from_millis(550);

/// A node that is asked one promise at a time, under names of that promise's own.
pub(super) struct Subject<'a, N> {
    node: &'a N,
    /// Tells this check's names from those of others.
    id: String,
}

impl<'a, N: Node> Subject<'a, N> {
    pub(super) fn new(node: &'a N) -> Self {
        let id = OwnerValue::random("").expect("random bytes");
        Self {
            node,
            id: id.as_str().to_owned(),
        }
    }

    /// A name of this check's. In a cluster, all are in one slot.
    pub(super) fn name(&self, label: &str) -> String {
        format!("contract:{{{}}}:{label}", self.id)
    }

    /// Exclusive, long entry for one name.
    pub(super) fn entry(&self, label: &str, owner: &str) -> Entry {
        Entry::new(&self.name(label), owner.into(), LONG)
    }

    pub(super) fn several(&self, labels: &[&str], owner: &str) -> Entry {
        let names = labels.iter().map(|label| self.name(label));
        self.entry("", owner).with_names(names)
    }

    pub(super) fn shared(&self, label: &str, owner: &str) -> Entry {
        self.entry(label, owner).with_mode(Mode::Shared)
    }

    pub(super) async fn acquired(&self, entry: &Entry, promise: &str) -> Option<FencingToken> {
        match self.answer(self.node.acquire(entry).await, promise) {
            AcquireVote::Acquired { number } => number,
            vote @ AcquireVote::Taken { .. } => self.broken(promise, "Acquired", &vote),
        }
    }

    /// Acquired on fenced entry.
    pub(super) async fn numbered(&self, entry: &Entry, promise: &str) -> FencingToken {
        let number = self.acquired(entry, promise).await;
        number.unwrap_or_else(|| self.broken(promise, "a number, on fenced entry", &number))
    }

    /// Taken, and for no longer than `at_most`.
    pub(super) async fn taken(&self, entry: &Entry, at_most: Duration, promise: &str) {
        match self.answer(self.node.acquire(entry).await, promise) {
            AcquireVote::Taken {
                remaining: Some(remaining),
            } if remaining > at_most => {
                self.broken(
                    promise,
                    &format!("at most {at_most:?} remaining"),
                    &remaining,
                );
            }
            AcquireVote::Taken { .. } => {}
            vote @ AcquireVote::Acquired { .. } => self.broken(promise, "Taken", &vote),
        }
    }

    pub(super) async fn raised(
        &self,
        entry: &Entry,
        to: FencingToken,
        expected: RaiseVote,
        promise: &str,
    ) {
        let vote = self.answer(self.node.raise(entry, to).await, promise);
        self.expect(&vote, &expected, promise);
    }

    pub(super) async fn extended(&self, entry: &Entry, expected: ExtendVote, promise: &str) {
        let vote = self.node.extend(entry, None, false).await;
        self.expect(&self.answer(vote, promise), &expected, promise);
    }

    /// Extended, and with a token.
    pub(super) async fn lifted(
        &self,
        entry: &Entry,
        token: FencingToken,
        expected: ExtendVote,
        promise: &str,
    ) {
        let vote = self.node.extend(entry, Some(token), false).await;
        self.expect(&self.answer(vote, promise), &expected, promise);
    }

    /// Extended, and set where it is missing.
    pub(super) async fn healed(&self, entry: &Entry, expected: ExtendVote, promise: &str) {
        let vote = self.node.extend(entry, None, true).await;
        self.expect(&self.answer(vote, promise), &expected, promise);
    }

    pub(super) async fn released(&self, entry: &Entry, expected: ReleaseVote, promise: &str) {
        let vote = self.answer(self.node.release(entry).await, promise);
        self.expect(&vote, &expected, promise);
    }

    /// Who holds the name, sorted, without how long.
    pub(super) async fn held_by(
        &self,
        label: &str,
        expected: Option<(Mode, &[&str])>,
        promise: &str,
    ) {
        let found = self.holders(label, promise).await;
        let found = found.map(|found| {
            let values = found.holders.iter();
            let mut values: Vec<_> = values.map(|held| held.value.as_str().to_owned()).collect();
            values.sort_unstable();
            (found.mode, values)
        });
        let expected = expected.map(|(mode, values)| {
            let values = values.iter().copied().map(str::to_owned);
            (mode, values.collect::<Vec<_>>())
        });
        self.expect(&found, &expected, promise);
    }

    /// That every holder of the name has more and no more than these left, as far as the node
    /// tells.
    pub(super) async fn remaining(
        &self,
        label: &str,
        more_than: Duration,
        at_most: Duration,
        promise: &str,
    ) {
        let found = self.holders(label, promise).await;
        let holders: Vec<Holder> = found.map(|found| found.holders).unwrap_or_default();
        for remaining in holders.iter().filter_map(|holder| holder.remaining) {
            if remaining <= more_than || remaining > at_most {
                let expected = format!("more than {more_than:?} and at most {at_most:?} remaining");
                self.broken(promise, &expected, &remaining);
            }
        }
    }

    async fn holders(&self, label: &str, promise: &str) -> Option<Holders> {
        self.answer(self.node.inspect(&self.name(label)).await, promise)
    }

    fn answer<T>(&self, answer: Result<T, NodeError>, promise: &str) -> T {
        answer.unwrap_or_else(|error| self.broken(promise, "an answer", &error))
    }

    pub(super) fn expect<T: Debug + PartialEq>(&self, found: &T, expected: &T, promise: &str) {
        if found != expected {
            self.broken(promise, &format!("{expected:?}"), found);
        }
    }

    pub(super) fn broken(&self, promise: &str, expected: &str, found: &dyn Debug) -> ! {
        let node = self.node.address();
        panic!("node {node} breaks a promise: {promise}\n  expected {expected}\n  found {found:?}");
    }
}

/// Waits until what was set for [`SHORT`] has expired.
pub(super) async fn passed() {
    tokio::time::sleep(PASSED).await;
}
