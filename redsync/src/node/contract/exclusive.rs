//! One name, one holder.

use std::time::Duration;

use super::subject::{LONG, SHORT, Subject, passed};
use crate::{
    Mode,
    node::{Entry, ExtendVote, Node, ReleaseVote},
};

fn short(mut entry: Entry) -> Entry {
    entry.expiry = SHORT;
    entry
}

/// A free name is acquired; a held one is taken, but for its owner.
///
/// # Panics
///
/// If the promise is broken, or the node answers with an error.
pub async fn acquire<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let (one, other) = (subject.entry("a", "one"), subject.entry("a", "other"));

    let number = subject.acquired(&one, "a free name can be acquired").await;
    subject.expect(&number, &None, "without fencing there is no number");
    let promise = "a held name is taken, for at most its expiry";
    subject.taken(&other, LONG, promise).await;

    let promise = "an acquisition that comes again has succeeded";
    subject.acquired(&one, promise).await;
    let promise = "an acquisition that comes again takes nothing from anyone";
    subject.taken(&other, LONG, promise).await;
    let promise = "names are independent";
    subject
        .acquired(&subject.entry("b", "other"), promise)
        .await;
}

/// A name is free when its expiry has passed, which an acquisition that comes again does not
/// change.
///
/// # Panics
///
/// If the promise is broken, or the node answers with an error.
pub async fn expire<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let brief = short(subject.entry("a", "one"));
    let promise = "a free name can be acquired";
    subject.acquired(&brief, promise).await;
    subject
        .acquired(&short(subject.entry("b", "one")), promise)
        .await;

    let promise = "an acquisition that comes again has succeeded";
    subject.acquired(&subject.entry("a", "one"), promise).await;
    let promise = "an acquisition that comes again leaves the expiry alone";
    subject.remaining("a", Duration::ZERO, SHORT, promise).await;

    let promise = "an acquisition that comes again does not shorten a life";
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
    let promise = "a name is free when its expiry has passed, however often it was acquired";
    subject
        .acquired(&subject.entry("a", "other"), promise)
        .await;
    let promise = "who held a name before has nothing to say";
    subject
        .extended(&brief, ExtendVote::NotOwner, promise)
        .await;
    subject
        .released(&brief, ReleaseVote::NotOwner, promise)
        .await;
    subject.taken(&brief, LONG, promise).await;
}

/// The owner's name lives on for an expiry from now; nobody else can extend it.
///
/// # Panics
///
/// If the promise is broken, or the node answers with an error.
pub async fn extend<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let (one, other) = (subject.entry("a", "one"), subject.entry("a", "other"));

    let promise = "a free name cannot be extended";
    subject.extended(&one, ExtendVote::NotOwner, promise).await;
    subject
        .held_by("a", None, "extending a free name does not acquire it")
        .await;

    let promise = "a free name can be acquired";
    subject.acquired(&short(one.clone()), promise).await;
    let promise = "who is not the owner cannot extend";
    subject
        .extended(&other, ExtendVote::NotOwner, promise)
        .await;
    subject.remaining("a", Duration::ZERO, SHORT, promise).await;

    subject
        .extended(&one, ExtendVote::Extended, "the owner can extend")
        .await;
    let promise = "what was extended may live for another expiry, and no longer";
    subject.remaining("a", SHORT, LONG, promise).await;
    let promise = "the owner can extend, also for less than there is";
    subject
        .extended(&short(one), ExtendVote::Extended, promise)
        .await;
    passed().await;
    let promise = "what was extended lives on, and its life is never shortened";
    subject.taken(&other, LONG, promise).await;
}

/// With `set_if_absent`, a missing name is set again, unless another has taken it.
///
/// # Panics
///
/// If the promise is broken, or the node answers with an error.
pub async fn heal<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let (one, other) = (subject.entry("a", "one"), subject.entry("a", "other"));

    let promise = "what is missing can be set by extending";
    subject.healed(&one, ExtendVote::Healed, promise).await;
    subject
        .taken(&other, LONG, "what was set by extending is held")
        .await;
    let promise = "what is held is extended, not healed";
    subject.healed(&one, ExtendVote::Extended, promise).await;
    let promise = "what another holds is not healed";
    subject.healed(&other, ExtendVote::NotOwner, promise).await;
    subject
        .held_by("a", Some((Mode::Exclusive, &["one"])), promise)
        .await;
}

/// The owner's name is free again; nobody else can release it.
///
/// # Panics
///
/// If the promise is broken, or the node answers with an error.
pub async fn release<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let (one, other) = (subject.entry("a", "one"), subject.entry("a", "other"));

    let promise = "releasing a free name finds no owner";
    subject.released(&one, ReleaseVote::NotOwner, promise).await;
    subject.acquired(&one, "a free name can be acquired").await;
    let promise = "who is not the owner cannot release";
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
    let promise = "a release that comes again does not release who came next";
    subject.released(&one, ReleaseVote::NotOwner, promise).await;
    subject.taken(&one, LONG, promise).await;
}

/// The holder is told, and for how long.
///
/// # Panics
///
/// If the promise is broken, or the node answers with an error.
pub async fn inspect<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let one = subject.entry("a", "one");
    subject.held_by("a", None, "nobody holds a free name").await;
    subject.acquired(&one, "a free name can be acquired").await;
    let promise = "the holder is told";
    subject
        .held_by("a", Some((Mode::Exclusive, &["one"])), promise)
        .await;
    let promise = "no more than the expiry is left";
    subject.remaining("a", Duration::ZERO, LONG, promise).await;
    subject
        .released(&one, ReleaseVote::Released, "the owner can release")
        .await;
    subject
        .held_by("a", None, "nobody holds a released name")
        .await;
}
