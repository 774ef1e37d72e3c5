//! The node under test, and the assertions about its answers.

use std::{fmt::Debug, mem, time::Duration};

use tokio::time::Instant;

use crate::{
    FencingToken, Mode, NodeError, OwnerValue,
    node::{
        AcquireVote, EXCLUSIVE_NEXT, EXCLUSIVE_NEXT_AT_MOST, Entry, ExtendVote, Holder, Holders,
        Node, RaiseVote, ReleaseVote,
    },
};

/// An expiry that does not pass during a check.
pub(super) const LONG: Duration = Duration::from_secs(60);

/// An expiry that a check waits for. It is longer than a busy machine needs for the few commands
/// that have to arrive before it has passed.
pub(super) const SHORT: Duration = Duration::from_millis(1500);

/// After this time, a key that was set for [`SHORT`] has expired. It is a little longer, because
/// clocks tick in milliseconds and run at slightly different rates.
const PASSED: Duration = Duration::from_millis(1600);

/// How often something is tried that a busy machine may prevent.
const TRIES: usize = 20;

/// A node under test for one promise, with names of its own.
pub(super) struct Subject<'a, N> {
    node: &'a N,
    /// Distinguishes the names of this check from those of others.
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

    /// A name for this check. In a cluster, all of them are in one slot.
    pub(super) fn name(&self, label: &str) -> String {
        format!("contract:{{{}}}:{label}", self.id)
    }

    /// An exclusive entry for one name, with a long expiry.
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
        let mut again = true;
        loop {
            match self.answer(self.node.acquire(entry).await, promise) {
                AcquireVote::Acquired { number } => return number,
                // The last key has expired while the node was asked. It is free from now on.
                AcquireVote::Taken { remaining: None } if mem::take(&mut again) => {}
                vote => self.broken(promise, "Acquired", &vote),
            }
        }
    }

    /// Acquires a fenced entry, and returns its number.
    pub(super) async fn numbered(&self, entry: &Entry, promise: &str) -> FencingToken {
        let number = self.acquired(entry, promise).await;
        number.unwrap_or_else(|| {
            self.broken(promise, "a number, because the entry is fenced", &number)
        })
    }

    /// Lets an exclusive entry reserve a name that has shared holders. Returns an instant before the
    /// reservation began.
    async fn reserved(&self, exclusive: &Entry) -> Instant {
        let promise = "shared holders keep an exclusive one out";
        // It may refuse before it knows that the holders are shared.
        let unknown = AcquireVote::Taken { remaining: None };
        for _ in 0..TRIES {
            let since = Instant::now();
            match self.answer(self.node.acquire(exclusive).await, promise) {
                vote if vote == unknown => {}
                AcquireVote::Taken { remaining } | AcquireVote::Reserved { remaining } => {
                    self.at_most(remaining, LONG, promise);
                    return since;
                }
                vote => self.broken(promise, "Reserved", &vote),
            }
        }
        let promise = "an exclusive one that shared holders have kept out is next";
        let expected = format!("Reserved, in one of {TRIES} tries");
        self.broken(promise, &expected, &unknown)
    }

    /// Lets an exclusive entry reserve a name that has shared holders, and expects the reservation
    /// to keep this shared entry out, also after `once`, which is not repeated, has come and gone.
    pub(super) async fn is_kept_out(
        &self,
        entry: &Entry,
        exclusive: &Entry,
        once: Option<&Entry>,
        promise: &str,
    ) {
        for _ in 0..TRIES {
            let since = self.reserved(exclusive).await;
            if let Some(once) = once {
                self.taken(once, LONG, promise).await;
                self.released(once, ReleaseVote::NotOwner, promise).await;
            }
            if self.was_kept_out(entry, since, promise).await {
                return;
            }
        }
        let expected = format!("Taken within {EXCLUSIVE_NEXT:?}, in one of {TRIES} tries");
        let found = "Acquired after that: the node reserves nothing, or is too slow for this check";
        self.broken(promise, &expected, &format_args!("{found}"));
    }

    /// Expects a reservation that was made since then to keep this shared entry out. Returns false,
    /// with nothing acquired, if the reservation may be over by now, because the machine is busy.
    async fn was_kept_out(&self, entry: &Entry, since: Instant, promise: &str) -> bool {
        let vote = self.answer(self.node.acquire(entry).await, promise);
        // Clocks tick in milliseconds.
        let may_be_over = since.elapsed() + Duration::from_millis(5) >= EXCLUSIVE_NEXT;
        match vote {
            AcquireVote::Taken { remaining } => {
                self.at_most(remaining, EXCLUSIVE_NEXT_AT_MOST, promise);
                true
            }
            AcquireVote::Acquired { .. } if may_be_over => {
                self.released(entry, ReleaseVote::Released, "a shared holder can release")
                    .await;
                false
            }
            vote => self.broken(promise, "Taken", &vote),
        }
    }

    /// Expects the names to be taken, for no longer than `at_most`. Returns the remaining time, if it
    /// is known.
    pub(super) async fn taken(
        &self,
        entry: &Entry,
        at_most: Duration,
        promise: &str,
    ) -> Option<Duration> {
        match self.answer(self.node.acquire(entry).await, promise) {
            AcquireVote::Taken { remaining } | AcquireVote::Reserved { remaining } => {
                self.at_most(remaining, at_most, promise);
                remaining
            }
            vote => self.broken(promise, "Taken", &vote),
        }
    }

    fn at_most(&self, remaining: Option<Duration>, at_most: Duration, promise: &str) {
        if let Some(remaining) = remaining.filter(|remaining| *remaining > at_most) {
            let expected = format!("at most {at_most:?} remaining");
            self.broken(promise, &expected, &remaining);
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

    /// Extends with a token.
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

    /// Extends, and sets missing names.
    pub(super) async fn healed(&self, entry: &Entry, expected: ExtendVote, promise: &str) {
        let vote = self.node.extend(entry, None, true).await;
        self.expect(&self.answer(vote, promise), &expected, promise);
    }

    pub(super) async fn released(&self, entry: &Entry, expected: ReleaseVote, promise: &str) {
        let vote = self.answer(self.node.release(entry).await, promise);
        self.expect(&vote, &expected, promise);
    }

    pub(super) async fn released_after(
        &self,
        entry: &Entry,
        time: Duration,
        expected: ReleaseVote,
        promise: &str,
    ) {
        let vote = self.answer(self.node.release_after(entry, time).await, promise);
        self.expect(&vote, &expected, promise);
    }

    /// Expects these holders of the name, in the order of their values.
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

    /// Expects that the remaining time of every holder of the name is in this range, if the node
    /// returns it.
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

/// The same entry with a short expiry.
pub(super) fn short(mut entry: Entry) -> Entry {
    entry.expiry = SHORT;
    entry
}

/// Waits until keys that were set for [`SHORT`] have expired.
pub(super) async fn passed() {
    tokio::time::sleep(PASSED).await;
}
