//! Promises about one name with one holder.

use std::time::Duration;

use super::subject::{LONG, SHORT, Subject, passed, short};
use crate::{
    Mode,
    node::{Entry, ExtendVote, Node, ReleaseVote},
};

/// The same names for another exclusive owner.
fn exclusive_other(entry: &Entry) -> Entry {
    let mut other = entry.clone().with_mode(Mode::Exclusive);
    other.value = "other".into();
    other
}

/// Tests that a free name is acquired, and that a held name is taken, except for its owner.
///
/// # Panics
///
/// Panics if the promise is broken, or the node answers with an error.
pub async fn acquire<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let (one, other) = (subject.entry("a", "one"), subject.entry("a", "other"));

    let number = subject.acquired(&one, "a free name can be acquired").await;
    subject.expect(&number, &None, "without fencing there is no number");
    let promise = "a held name is taken, for at most its expiry";
    subject.taken(&other, LONG, promise).await;

    let promise = "an acquisition that arrives again succeeds";
    subject.acquired(&one, promise).await;
    let promise = "an acquisition that arrives again takes the name from nobody";
    subject.taken(&other, LONG, promise).await;
    let promise = "names are independent";
    subject
        .acquired(&subject.entry("b", "other"), promise)
        .await;
}

/// Tests that a name is free when its expiry has passed, and that an acquisition that arrives again
/// does not change the expiry.
///
/// # Panics
///
/// Panics if the promise is broken, or the node answers with an error.
pub async fn expire<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let brief = short(subject.entry("a", "one"));
    let promise = "a free name can be acquired";
    subject.acquired(&brief, promise).await;
    subject
        .acquired(&short(subject.entry("b", "one")), promise)
        .await;

    let promise = "an acquisition that arrives again succeeds";
    subject.acquired(&subject.entry("a", "one"), promise).await;
    let promise = "an acquisition that arrives again leaves the expiry as it is";
    subject.remaining("a", Duration::ZERO, SHORT, promise).await;

    let promise = "an acquisition that arrives again does not shorten the expiry";
    subject.acquired(&subject.entry("c", "one"), promise).await;
    subject
        .acquired(&short(subject.entry("c", "one")), promise)
        .await;
    passed().await;
    subject
        .taken(&subject.entry("c", "other"), LONG, promise)
        .await;

    subject
        .held_by("b", None, "nobody holds an expired name")
        .await;
    let promise = "a name is free when its expiry has passed";
    subject
        .acquired(&subject.entry("b", "other"), promise)
        .await;
    let promise =
        "a name is free when its expiry has passed, even if its acquisition arrived again";
    subject
        .acquired(&subject.entry("a", "other"), promise)
        .await;
    let promise =
        "a former holder can neither extend, release nor acquire a name that another holds";
    subject
        .extended(&brief, ExtendVote::NotOwner, promise)
        .await;
    subject
        .released(&brief, ReleaseVote::NotOwner, promise)
        .await;
    subject.taken(&brief, LONG, promise).await;
}

/// Tests that the owner, and nobody else, extends a name for an expiry from now.
///
/// # Panics
///
/// Panics if the promise is broken, or the node answers with an error.
pub async fn extend<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let (one, other) = (subject.entry("a", "one"), subject.entry("a", "other"));

    let promise = "a free name cannot be extended";
    subject.extended(&one, ExtendVote::Missing, promise).await;
    subject
        .held_by("a", None, "extending a free name does not acquire it")
        .await;

    let promise = "a free name can be acquired";
    subject.acquired(&short(one.clone()), promise).await;
    let promise = "only the owner can extend";
    subject
        .extended(&other, ExtendVote::NotOwner, promise)
        .await;
    subject.remaining("a", Duration::ZERO, SHORT, promise).await;

    subject
        .extended(&one, ExtendVote::Extended, "the owner can extend")
        .await;
    let promise = "an extended name is kept for at most the expiry from now";
    subject.remaining("a", SHORT, LONG, promise).await;
    let promise = "the owner can extend with a shorter expiry";
    subject
        .extended(&short(one), ExtendVote::Extended, promise)
        .await;
    passed().await;
    let promise = "an extended name is kept, and its expiry is never shortened";
    subject.taken(&other, LONG, promise).await;
}

/// Tests that with `set_if_absent`, a missing name is set again, unless another entry holds it.
///
/// # Panics
///
/// Panics if the promise is broken, or the node answers with an error.
pub async fn heal<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let (one, other) = (subject.entry("a", "one"), subject.entry("a", "other"));

    let promise = "an extension can set a missing name";
    subject.healed(&one, ExtendVote::Healed, promise).await;
    subject
        .taken(&other, LONG, "a name that an extension has set is held")
        .await;
    let promise = "a held name is extended, not healed";
    subject.healed(&one, ExtendVote::Extended, promise).await;
    let promise = "a name that another holds is not healed";
    subject.healed(&other, ExtendVote::NotOwner, promise).await;
    subject
        .held_by("a", Some((Mode::Exclusive, &["one"])), promise)
        .await;
}

/// Tests that the owner, and nobody else, releases a name.
///
/// # Panics
///
/// Panics if the promise is broken, or the node answers with an error.
pub async fn release<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let (one, other) = (subject.entry("a", "one"), subject.entry("a", "other"));

    let promise = "a release of a free name answers that the caller is not the owner";
    subject.released(&one, ReleaseVote::NotOwner, promise).await;
    subject.acquired(&one, "a free name can be acquired").await;
    let promise = "only the owner can release";
    subject
        .released(&other, ReleaseVote::NotOwner, promise)
        .await;
    subject.taken(&other, LONG, promise).await;

    subject
        .released(&one, ReleaseVote::Released, "the owner can release")
        .await;
    let promise = "a released name has no owner";
    subject.released(&one, ReleaseVote::NotOwner, promise).await;
    subject.acquired(&other, "a released name is free").await;
    let promise = "a release that arrives again does not release the next holder";
    subject.released(&one, ReleaseVote::NotOwner, promise).await;
    subject.taken(&one, LONG, promise).await;
}

/// Tests that the owner, and nobody else, can release names after a time, and shortens the time for
/// which they are kept, and that it cannot prolong that time afterwards.
///
/// # Panics
///
/// Panics if the promise is broken, or the node answers with an error.
pub async fn release_after<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let entries = [
        subject.entry("a", "one"),
        subject.several(&["b", "c"], "one"),
        subject.shared("d", "one"),
    ];
    for entry in &entries {
        let other = exclusive_other(entry);
        let promise = "a release of a free name after a time takes nothing";
        subject
            .released_after(entry, LONG, ReleaseVote::NotOwner, promise)
            .await;
        subject.acquired(entry, "a free name can be acquired").await;
        let promise = "only the owner can release after a time";
        subject
            .released_after(&other, SHORT, ReleaseVote::NotOwner, promise)
            .await;
        subject.taken(&other, LONG, promise).await;
        let promise = "the owner can release after a time";
        subject
            .released_after(entry, SHORT, ReleaseVote::Released, promise)
            .await;
        let promise = "a release after a time that arrives again succeeds, and changes nothing";
        subject
            .released_after(entry, LONG, ReleaseVote::Released, promise)
            .await;
        let promise = "a name that is kept after a release is not the owner's any longer";
        subject
            .released(entry, ReleaseVote::NotOwner, promise)
            .await;
        let promise = "after its release, the owner cannot extend a name that is kept";
        subject.extended(entry, ExtendVote::NotOwner, promise).await;
        subject.healed(entry, ExtendVote::NotOwner, promise).await;
        let promise = "a name that is released after a time is taken up to then";
        subject.taken(&other, SHORT, promise).await;
    }
    passed().await;
    for entry in &entries {
        let promise = "a name that is released after a time is free then";
        subject.acquired(&exclusive_other(entry), promise).await;
    }
}

/// Tests that a node returns the holder of a name, and for how long it holds the name.
///
/// # Panics
///
/// Panics if the promise is broken, or the node answers with an error.
pub async fn inspect<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let one = subject.entry("a", "one");
    subject.held_by("a", None, "nobody holds a free name").await;
    subject.acquired(&one, "a free name can be acquired").await;
    let promise = "the holder is returned";
    subject
        .held_by("a", Some((Mode::Exclusive, &["one"])), promise)
        .await;
    let promise = "the remaining time is at most the expiry";
    subject.remaining("a", Duration::ZERO, LONG, promise).await;
    subject
        .released(&one, ReleaseVote::Released, "the owner can release")
        .await;
    subject
        .held_by("a", None, "nobody holds a released name")
        .await;
}
