//! Counters for fencing tokens.

use std::time::Duration;

use super::subject::{SHORT, Subject, passed};
use crate::{
    FencingToken,
    fence::STRIDE,
    node::{Entry, ExtendVote, Node, RaiseVote, ReleaseVote},
};

const fn plus(number: FencingToken, more: u64) -> FencingToken {
    FencingToken::new(number.get() + more)
}

/// A number per acquisition, each larger than those before by a stride at least.
///
/// # Panics
///
/// If the promise is broken, or the node answers with an error.
pub async fn fence<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let fenced = |owner| subject.entry("a", owner).with_fencing(true);

    let first = fenced("first");
    let one = subject.numbered(&first, "fenced entry get a number").await;
    let promise = "a number starts no lower than the wall clock's seconds times a million";
    let floor = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default();
    // Wall clocks may differ by more than fencing tolerates; this asks only for the unit.
    let floor = floor.saturating_sub(Duration::from_secs(60 * 60));
    if one.get() < floor.as_secs() * 1_000_000 {
        subject.broken(promise, &format!("at least {floor:?}"), &one);
    }
    let promise = "an acquisition that comes again gets the same number";
    let again = subject.numbered(&first, promise).await;
    subject.expect(&again, &one, promise);

    subject
        .released(&first, ReleaseVote::Released, "the owner can release")
        .await;
    let mut brief = fenced("brief");
    brief.expiry = SHORT;
    let two = subject.numbered(&brief, "fenced entry get a number").await;
    grown(&subject, one, two, "numbers grow over a release");

    passed().await;
    let third = fenced("third");
    let three = subject.numbered(&third, "fenced entry get a number").await;
    grown(&subject, two, three, "numbers grow over an expiry");
    subject
        .released(&third, ReleaseVote::Released, "the owner can release")
        .await;

    // Without fencing the counter rests.
    let plain = subject.entry("a", "plain");
    let number = subject
        .acquired(&plain, "a free name can be acquired")
        .await;
    subject.expect(&number, &None, "without fencing there is no number");
    subject
        .released(&plain, ReleaseVote::Released, "the owner can release")
        .await;
    let four = subject
        .numbered(&fenced("fourth"), "fenced entry get a number")
        .await;
    grown(
        &subject,
        three,
        four,
        "numbers grow over an acquisition that is not fenced",
    );
}

/// Several names share one number, larger than each has had.
///
/// # Panics
///
/// If the promise is broken, or the node answers with an error.
pub async fn fence_several<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let a = subject.entry("a", "one").with_fencing(true);
    let first = subject.numbered(&a, "fenced entry get a number").await;
    // So that one of two is ahead.
    let ahead = plus(first, 10 * STRIDE);
    let promise = "a counter can be raised by the owner";
    subject.raised(&a, ahead, RaiseVote::Raised, promise).await;
    subject
        .released(&a, ReleaseVote::Released, "the owner can release")
        .await;

    let both = subject.several(&["a", "b"], "both").with_fencing(true);
    let promise = "the number of several names is larger than each has had";
    let number = subject.numbered(&both, promise).await;
    grown(&subject, ahead, number, promise);
    let promise = "an acquisition of several names that comes again gets the same number";
    let again = subject.numbered(&both, promise).await;
    subject.expect(&again, &number, promise);
    subject
        .released(&both, ReleaseVote::Released, "the owner can release")
        .await;

    let b = subject.entry("b", "two").with_fencing(true);
    let promise = "the number of several names counts for each of them";
    let next = subject.numbered(&b, promise).await;
    grown(&subject, number, next, promise);
}

/// The owner's counter is raised from below, and claimed exactly.
///
/// # Panics
///
/// If the promise is broken, or the node answers with an error.
pub async fn raise<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let one = subject.entry("a", "one").with_fencing(true);
    let other = subject.entry("a", "other").with_fencing(true);

    let promise = "who holds nothing can raise nothing";
    let any = FencingToken::new(u64::MAX / 4);
    subject.raised(&one, any, RaiseVote::Refused, promise).await;

    let number = subject.numbered(&one, "fenced entry get a number").await;
    let high = plus(number, 1000);
    let promise = "who is not the owner cannot raise";
    subject
        .raised(&other, high, RaiseVote::Refused, promise)
        .await;
    let promise = "a counter can be raised by the owner";
    subject.raised(&one, high, RaiseVote::Raised, promise).await;
    let promise = "raising to where the counter is succeeds";
    subject.raised(&one, high, RaiseVote::Raised, promise).await;
    let promise = "a counter is not raised to less than it is at";
    subject
        .raised(&one, number, RaiseVote::Refused, promise)
        .await;
    subject
        .raised(&one, plus(number, 999), RaiseVote::Refused, promise)
        .await;
    let promise = "an acquisition that comes again gets the counter's number";
    let again = subject.numbered(&one, promise).await;
    subject.expect(&again, &high, promise);

    subject
        .released(&one, ReleaseVote::Released, "the owner can release")
        .await;
    let promise = "who has released can raise nothing";
    subject
        .raised(&one, plus(high, 1), RaiseVote::Refused, promise)
        .await;
    let next = subject.numbered(&other, "fenced entry get a number").await;
    grown(
        &subject,
        high,
        next,
        "numbers grow from where the counter was raised to",
    );
    let promise = "who held the name before can raise nothing";
    subject
        .raised(&one, plus(next, 1), RaiseVote::Refused, promise)
        .await;

    // One more digit: numbers are compared as numbers, not as text.
    let digits = FencingToken::new(10_u64.pow(next.get().ilog10() + 1));
    let promise = "a counter can be raised to a number of more digits";
    subject
        .raised(&other, digits, RaiseVote::Raised, promise)
        .await;
    let promise = "a counter is not raised to a number of fewer digits";
    subject
        .raised(&other, next, RaiseVote::Refused, promise)
        .await;

    let both = subject.several(&["b", "c"], "both").with_fencing(true);
    let promise = "counters of several names are raised together";
    let number = subject.numbered(&both, promise).await;
    subject
        .raised(&both, plus(number, 5), RaiseVote::Raised, promise)
        .await;
    subject
        .released(&both, ReleaseVote::Released, "the owner can release")
        .await;
    for label in ["b", "c"] {
        let entry: Entry = subject.entry(label, "next").with_fencing(true);
        let next = subject.numbered(&entry, promise).await;
        grown(&subject, plus(number, 5), next, promise);
    }
}

/// Extending with a token lifts a lower counter to it, and leaves a higher one.
///
/// # Panics
///
/// If the promise is broken, or the node answers with an error.
pub async fn lift<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let one = subject.entry("a", "one").with_fencing(true);
    let other = subject.entry("a", "other").with_fencing(true);
    let number = subject.numbered(&one, "fenced entry get a number").await;
    let token = plus(number, 1000);

    let promise = "who is not the owner lifts nothing";
    subject
        .lifted(&other, plus(token, 1000), ExtendVote::NotOwner, promise)
        .await;
    let promise = "the owner can extend with a token";
    subject
        .lifted(&one, token, ExtendVote::Extended, promise)
        .await;
    let promise = "extending with a token lifts the counter to it, exactly";
    let again = subject.numbered(&one, promise).await;
    subject.expect(&again, &token, promise);
    let promise = "extending with a lower token leaves the counter alone";
    subject
        .lifted(&one, number, ExtendVote::Extended, promise)
        .await;
    let again = subject.numbered(&one, promise).await;
    subject.expect(&again, &token, promise);

    subject
        .released(&one, ReleaseVote::Released, "the owner can release")
        .await;
    let next = subject.numbered(&other, "fenced entry get a number").await;
    grown(
        &subject,
        token,
        next,
        "numbers grow from where the counter was lifted to",
    );
}

/// That the numbers from a token up to the next are its holder's.
fn grown<N: Node>(
    subject: &Subject<'_, N>,
    before: FencingToken,
    after: FencingToken,
    promise: &str,
) {
    if after < plus(before, STRIDE) {
        let expected = format!("at least {STRIDE} more than {before}");
        subject.broken(promise, &expected, &after);
    }
}
