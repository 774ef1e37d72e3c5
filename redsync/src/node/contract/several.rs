//! Promises about several names at once.

use std::time::Duration;

use super::subject::{LONG, SHORT, Subject, passed, short};
use crate::{
    Mode,
    node::{ExtendVote, Node, ReleaseVote},
};

/// Tests that all names are acquired, or none.
///
/// # Panics
///
/// Panics if the promise is broken, or the node answers with an error.
pub async fn acquire_several<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let both = subject.several(&["a", "b"], "both");

    subject
        .acquired(&both, "several free names can be acquired")
        .await;
    let promise = "each of several names is held";
    for label in ["a", "b"] {
        subject
            .taken(&subject.entry(label, "other"), LONG, promise)
            .await;
        subject
            .held_by(label, Some((Mode::Exclusive, &["both"])), promise)
            .await;
    }
    let promise = "an acquisition of several names that arrives again succeeds";
    subject.acquired(&both, promise).await;

    let promise = "if one of several names is taken, the answer is taken";
    let overlapping = subject.several(&["b", "c"], "overlapping");
    subject.taken(&overlapping, LONG, promise).await;
    let promise = "if one of several names is taken, none is acquired";
    subject.held_by("c", None, promise).await;
    subject
        .acquired(&subject.entry("c", "other"), promise)
        .await;

    let promise = "each of several names is kept for the expiry, and for no longer";
    let brief = short(subject.several(&["d", "e"], "brief"));
    subject.acquired(&brief, promise).await;
    subject.remaining("d", Duration::ZERO, SHORT, promise).await;
    subject.remaining("e", Duration::ZERO, SHORT, promise).await;
    passed().await;
    subject
        .acquired(&subject.several(&["d", "e"], "next"), promise)
        .await;
}

/// Tests that all names are extended, or none, and that `set_if_absent` sets the missing ones.
///
/// # Panics
///
/// Panics if the promise is broken, or the node answers with an error.
pub async fn extend_several<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let both = subject.several(&["a", "b"], "one");
    let brief = short(both.clone());

    subject
        .acquired(&brief, "several free names can be acquired")
        .await;
    subject
        .extended(
            &both,
            ExtendVote::Extended,
            "the owner can extend all names",
        )
        .await;
    let promise = "each of several names is extended";
    for label in ["a", "b"] {
        subject.remaining(label, SHORT, LONG, promise).await;
    }

    // One of two is missing.
    let a = subject.entry("a", "one");
    subject
        .released(
            &a,
            ReleaseVote::Released,
            "one of several names can be released",
        )
        .await;
    let promise = "if one of several names is missing, none is extended";
    subject.extended(&both, ExtendVote::Missing, promise).await;
    subject.held_by("a", None, promise).await;
    let promise = "an extension can set the missing ones of several names";
    subject.healed(&both, ExtendVote::Healed, promise).await;
    subject
        .held_by("a", Some((Mode::Exclusive, &["one"])), promise)
        .await;
    subject
        .held_by("b", Some((Mode::Exclusive, &["one"])), promise)
        .await;

    // Another holds one of the two.
    subject
        .released(
            &a,
            ReleaseVote::Released,
            "one of several names can be released",
        )
        .await;
    let promise = "a released name is free";
    subject
        .acquired(&subject.entry("a", "other"), promise)
        .await;
    let promise = "if one of several names is held by another, none is extended or set";
    subject.extended(&both, ExtendVote::NotOwner, promise).await;
    let all = subject.several(&["a", "b", "c"], "one");
    subject.healed(&all, ExtendVote::NotOwner, promise).await;
    let promise = "that another holds a name comes before a name that is missing";
    subject.extended(&all, ExtendVote::NotOwner, promise).await;
    subject
        .held_by("a", Some((Mode::Exclusive, &["other"])), promise)
        .await;
    subject.held_by("c", None, promise).await;
}

/// Tests that the names that the entry holds are released, and no others.
///
/// # Panics
///
/// Panics if the promise is broken, or the node answers with an error.
pub async fn release_several<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let both = subject.several(&["a", "b"], "one");
    subject
        .acquired(&both, "several free names can be acquired")
        .await;
    subject
        .released(
            &both,
            ReleaseVote::Released,
            "the owner can release all names",
        )
        .await;
    let promise = "each of several released names is free";
    subject
        .acquired(&subject.entry("a", "other"), promise)
        .await;
    subject.acquired(&subject.entry("b", "one"), promise).await;

    let promise =
        "if another holds one of several names, the answer is that the caller is not the owner";
    subject
        .released(&both, ReleaseVote::NotOwner, promise)
        .await;
    let promise = "a release of several names does not release one that another holds";
    subject
        .held_by("a", Some((Mode::Exclusive, &["other"])), promise)
        .await;
    let promise = "a release of several names releases those that the caller holds";
    subject.held_by("b", None, promise).await;
}
