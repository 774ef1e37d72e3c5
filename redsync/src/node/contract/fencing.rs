//! Promises about the counters of fencing tokens.

use std::time::Duration;

use super::subject::{Subject, passed, short};
use crate::{
    FencingToken,
    fence::STRIDE,
    node::{Entry, ExtendVote, Node, RaiseVote, ReleaseVote},
};

const fn plus(number: FencingToken, more: u64) -> FencingToken {
    FencingToken::new(number.get() + more)
}

/// Tests that every acquisition gets a number, which exceeds all earlier ones by at least a stride.
///
/// # Panics
///
/// Panics if the promise is broken, or the node answers with an error.
pub async fn fence<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let fenced = |owner| subject.entry("a", owner).with_fencing(true);

    let first = fenced("first");
    let one = subject
        .numbered(&first, "a fenced entry gets a number")
        .await;
    let promise = "a number starts no lower than the wall clock's seconds times a million";
    let floor = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap_or_default();
    // Wall clocks may differ by more than fencing tolerates. This tests only the unit.
    let floor = floor.saturating_sub(Duration::from_secs(60 * 60));
    if one.get() < floor.as_secs() * 1_000_000 {
        subject.broken(promise, &format!("at least {floor:?}"), &one);
    }
    let promise = "an acquisition that arrives again gets the same number";
    let again = subject.numbered(&first, promise).await;
    subject.expect(&again, &one, promise);

    subject
        .released(&first, ReleaseVote::Released, "the owner can release")
        .await;
    let brief = short(fenced("brief"));
    let two = subject
        .numbered(&brief, "a fenced entry gets a number")
        .await;
    grown(&subject, one, two, "numbers grow after a release");

    passed().await;
    let third = fenced("third");
    let three = subject
        .numbered(&third, "a fenced entry gets a number")
        .await;
    grown(&subject, two, three, "numbers grow after an expiry");
    subject
        .released(&third, ReleaseVote::Released, "the owner can release")
        .await;

    // An acquisition without fencing does not change the counter.
    let plain = subject.entry("a", "plain");
    let number = subject
        .acquired(&plain, "a free name can be acquired")
        .await;
    subject.expect(&number, &None, "without fencing there is no number");
    subject
        .released(&plain, ReleaseVote::Released, "the owner can release")
        .await;
    let four = subject
        .numbered(&fenced("fourth"), "a fenced entry gets a number")
        .await;
    grown(
        &subject,
        three,
        four,
        "numbers grow after an acquisition that is not fenced",
    );
}

/// Tests that several names get one number, which is larger than all earlier numbers of each of
/// them.
///
/// # Panics
///
/// Panics if the promise is broken, or the node answers with an error.
pub async fn fence_several<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let a = subject.entry("a", "one").with_fencing(true);
    let first = subject.numbered(&a, "a fenced entry gets a number").await;
    // One of the two counters is ahead.
    let ahead = plus(first, 10 * STRIDE);
    let promise = "a counter can be raised by the owner";
    subject.raised(&a, ahead, RaiseVote::Raised, promise).await;
    subject
        .released(&a, ReleaseVote::Released, "the owner can release")
        .await;

    let both = subject.several(&["a", "b"], "both").with_fencing(true);
    let promise = "the number of several names is larger than all earlier numbers of each";
    let number = subject.numbered(&both, promise).await;
    grown(&subject, ahead, number, promise);
    let promise = "an acquisition of several names that arrives again gets the same number";
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

/// Tests that only the owner raises a counter, only from below, and to exactly the token.
///
/// # Panics
///
/// Panics if the promise is broken, or the node answers with an error.
pub async fn raise<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let one = subject.entry("a", "one").with_fencing(true);
    let other = subject.entry("a", "other").with_fencing(true);

    let promise = "a client without the name cannot raise its counter";
    let any = FencingToken::new(u64::MAX / 4);
    subject.raised(&one, any, RaiseVote::Refused, promise).await;

    let number = subject.numbered(&one, "a fenced entry gets a number").await;
    let high = plus(number, 1000);
    let promise = "only the owner can raise a counter";
    subject
        .raised(&other, high, RaiseVote::Refused, promise)
        .await;
    let promise = "a counter can be raised by the owner";
    subject.raised(&one, high, RaiseVote::Raised, promise).await;
    let promise = "raising a counter to its present number succeeds";
    subject.raised(&one, high, RaiseVote::Raised, promise).await;
    let promise = "a counter is not raised to a smaller number";
    subject
        .raised(&one, number, RaiseVote::Refused, promise)
        .await;
    subject
        .raised(&one, plus(number, 999), RaiseVote::Refused, promise)
        .await;
    let promise = "an acquisition that arrives again gets the counter's number";
    let again = subject.numbered(&one, promise).await;
    subject.expect(&again, &high, promise);

    subject
        .released(&one, ReleaseVote::Released, "the owner can release")
        .await;
    let promise = "a client that has released the name cannot raise its counter";
    subject
        .raised(&one, plus(high, 1), RaiseVote::Refused, promise)
        .await;
    let next = subject
        .numbered(&other, "a fenced entry gets a number")
        .await;
    grown(
        &subject,
        high,
        next,
        "numbers grow from the token that the counter was raised to",
    );
    let promise = "a former holder cannot raise the counter";
    subject
        .raised(&one, plus(next, 1), RaiseVote::Refused, promise)
        .await;

    // One more digit: numbers have to be compared as numbers, not as text.
    let digits = FencingToken::new(10_u64.pow(next.get().ilog10() + 1));
    let promise = "a counter can be raised to a number with more digits";
    subject
        .raised(&other, digits, RaiseVote::Raised, promise)
        .await;
    let promise = "a counter is not raised to a number with fewer digits";
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

/// Tests that an extension with a token raises a lower counter to the token, and leaves a higher
/// one as it is.
///
/// # Panics
///
/// Panics if the promise is broken, or the node answers with an error.
pub async fn lift<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let one = subject.entry("a", "one").with_fencing(true);
    let other = subject.entry("a", "other").with_fencing(true);
    let number = subject.numbered(&one, "a fenced entry gets a number").await;
    let token = plus(number, 1000);

    let promise = "an extension by another does not raise the counter";
    subject
        .lifted(&other, plus(token, 1000), ExtendVote::NotOwner, promise)
        .await;
    let promise = "the owner can extend with a token";
    subject
        .lifted(&one, token, ExtendVote::Extended, promise)
        .await;
    let promise = "an extension with a token raises the counter to exactly the token";
    let again = subject.numbered(&one, promise).await;
    subject.expect(&again, &token, promise);
    let promise = "an extension with a lower token leaves the counter as it is";
    subject
        .lifted(&one, number, ExtendVote::Extended, promise)
        .await;
    let again = subject.numbered(&one, promise).await;
    subject.expect(&again, &token, promise);

    subject
        .released(&one, ReleaseVote::Released, "the owner can release")
        .await;
    let next = subject
        .numbered(&other, "a fenced entry gets a number")
        .await;
    grown(
        &subject,
        token,
        next,
        "numbers grow from the token of an extension",
    );
}

/// Tests that the numbers from one token up to the next belong to its holder.
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
