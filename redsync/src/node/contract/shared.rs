//! Promises about shared holders.

use std::time::Duration;

use super::subject::{LONG, Subject, passed, short};
use crate::{
    Mode,
    node::{EXCLUSIVE_NEXT_AT_MOST, ExtendVote, Node, ReleaseVote},
};

/// Tests that a name can have any number of shared holders, each with its own expiry, and no
/// exclusive holder at the same time.
///
/// # Panics
///
/// Panics if the promise is broken, or the node answers with an error.
pub async fn share<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let (one, two) = (subject.shared("a", "one"), subject.shared("a", "two"));
    let brief = short(subject.shared("a", "brief"));

    subject.acquired(&one, "a free name can be shared").await;
    subject.acquired(&two, "a shared name can be shared").await;
    subject
        .acquired(&brief, "a shared name can be shared")
        .await;
    let promise = "all shared holders are returned";
    subject
        .held_by("a", Some((Mode::Shared, &["brief", "one", "two"])), promise)
        .await;
    let promise = "a shared acquisition that arrives again succeeds";
    let again = subject.shared("a", "brief");
    subject.acquired(&again, promise).await;

    passed().await;
    let promise = "each shared holder has its own expiry, even if its acquisition arrives again";
    subject
        .held_by("a", Some((Mode::Shared, &["one", "two"])), promise)
        .await;
    let promise = "a shared holder that has expired can neither extend nor release";
    subject
        .extended(&again, ExtendVote::NotOwner, promise)
        .await;
    subject
        .released(&again, ReleaseVote::NotOwner, promise)
        .await;
    let promise = "an extension sets no shared holder while there are others";
    subject.healed(&again, ExtendVote::NotOwner, promise).await;

    subject
        .released(&one, ReleaseVote::Released, "a shared holder can release")
        .await;
    subject
        .released(
            &one,
            ReleaseVote::NotOwner,
            "a shared holder can release once",
        )
        .await;
    let promise = "a shared holder stays when others release";
    subject
        .held_by("a", Some((Mode::Shared, &["two"])), promise)
        .await;

    let promise = "a shared holder can extend with a shorter expiry";
    subject
        .extended(&short(two.clone()), ExtendVote::Extended, promise)
        .await;
    passed().await;
    let promise = "the expiry of a shared holder is never shortened";
    subject.remaining("a", Duration::ZERO, LONG, promise).await;
    subject.extended(&two, ExtendVote::Extended, promise).await;
    subject
        .released(&two, ReleaseVote::Released, "a shared holder can release")
        .await;
    subject
        .held_by("a", None, "nobody holds a name that all have released")
        .await;

    let promise = "a name that the last shared holder has released can be acquired exclusively";
    let exclusive = subject.entry("a", "exclusive");
    subject.acquired(&exclusive, promise).await;
    subject
        .taken(&one, LONG, "an exclusive holder keeps shared ones out")
        .await;
    let promise = "an exclusive holder is not a shared holder with the same value";
    let same = subject.shared("a", "exclusive");
    subject.taken(&same, LONG, promise).await;
    subject.extended(&same, ExtendVote::NotOwner, promise).await;
    subject
        .released(&same, ReleaseVote::NotOwner, promise)
        .await;

    let healed = subject.shared("b", "one");
    let promise = "an extension can set a missing shared holder";
    subject.healed(&healed, ExtendVote::Healed, promise).await;
    subject
        .held_by("b", Some((Mode::Shared, &["one"])), promise)
        .await;
    let promise = "a shared holder is not an exclusive holder with the same value";
    let same = subject.entry("b", "one");
    subject.taken(&same, LONG, promise).await;
    subject.extended(&same, ExtendVote::NotOwner, promise).await;
    subject
        .released(&same, ReleaseVote::NotOwner, promise)
        .await;
    subject
        .held_by("b", Some((Mode::Shared, &["one"])), promise)
        .await;
}

/// Tests that several names are shared, all or none.
///
/// # Panics
///
/// Panics if the promise is broken, or the node answers with an error.
pub async fn share_several<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let shared = |labels, owner| subject.several(labels, owner).with_mode(Mode::Shared);
    subject
        .acquired(&shared(&["a", "b"], "one"), "several names can be shared")
        .await;
    subject
        .acquired(&shared(&["b", "c"], "two"), "shared names can be shared")
        .await;
    subject
        .acquired(
            &subject.entry("d", "exclusive"),
            "a free name can be acquired",
        )
        .await;
    let promise = "if one of several names is taken, none is shared";
    subject
        .taken(&shared(&["c", "d", "e"], "three"), LONG, promise)
        .await;
    subject
        .held_by("c", Some((Mode::Shared, &["two"])), promise)
        .await;
    subject.held_by("e", None, promise).await;
    let promise = "a shared holder can release several names";
    subject
        .released(&shared(&["a", "b"], "one"), ReleaseVote::Released, promise)
        .await;
    subject.held_by("a", None, promise).await;
    subject
        .held_by("b", Some((Mode::Shared, &["two"])), promise)
        .await;
}

/// Tests the reservation for an exclusive acquisition that shared holders keep out and that will be
/// repeated. No new shared holder is admitted for a while, so that the exclusive one enters when
/// the present ones have left. If the exclusive one leaves, or will not be repeated, nothing is
/// reserved.
///
/// # Panics
///
/// Panics if the promise is broken, or the node answers with an error.
pub async fn let_exclusive_enter<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let (one, late) = (subject.shared("a", "one"), subject.shared("a", "late"));
    let exclusive = subject.entry("a", "exclusive").with_repetition(true);
    let promise = "an exclusive one that shared holders have kept out is next";
    subject.acquired(&one, "a free name can be shared").await;
    subject.is_kept_out(&late, &exclusive, None, promise).await;
    let promise = "an exclusive one that is next is not a holder";
    subject
        .held_by("a", Some((Mode::Shared, &["one"])), promise)
        .await;
    let promise = "an exclusive one that is next does not affect present shared holders";
    subject.acquired(&one, promise).await;
    subject.extended(&one, ExtendVote::Extended, promise).await;

    subject
        .taken(&exclusive, LONG, "shared holders keep an exclusive one out")
        .await;
    subject
        .released(&one, ReleaseVote::Released, "a shared holder can release")
        .await;
    subject
        .held_by("a", None, "an exclusive one that is next is not a holder")
        .await;
    let promise = "an exclusive one enters when the last shared holder has left";
    subject.acquired(&exclusive, promise).await;
    subject
        .taken(&late, LONG, "an exclusive holder keeps shared ones out")
        .await;
    subject
        .released(&exclusive, ReleaseVote::Released, "the owner can release")
        .await;
    let promise = "shared ones enter after the exclusive one has released";
    subject.acquired(&late, promise).await;

    subject
        .taken(&exclusive, LONG, "shared holders keep an exclusive one out")
        .await;
    tokio::time::sleep(EXCLUSIVE_NEXT_AT_MOST + Duration::from_millis(20)).await;
    let promise = "if the exclusive one does not come back, shared ones are admitted again";
    subject.acquired(&one, promise).await;

    let once = subject.entry("a", "once");
    subject
        .taken(&once, LONG, "shared holders keep an exclusive one out")
        .await;
    let promise = "an exclusive one that is not repeated keeps no shared ones out";
    subject
        .acquired(&subject.shared("a", "third"), promise)
        .await;
    let fourth = subject.shared("a", "fourth");
    let promise = "one that is not repeated does not end the reservation of another";
    subject
        .is_kept_out(&fourth, &exclusive, Some(&once), promise)
        .await;
    let promise = "an exclusive one that leaves held nothing";
    subject
        .released(&exclusive, ReleaseVote::NotOwner, promise)
        .await;
    let promise = "when the exclusive one has left, shared ones are admitted again";
    subject.acquired(&fourth, promise).await;
}
