//! Shared holders.

use std::time::Duration;

use super::subject::{LONG, SHORT, Subject, passed};
use crate::{
    Mode,
    node::{ExtendVote, Node, ReleaseVote, WRITER_TURN},
};

/// Any number of shared holders, each with an expiry of its own, and no exclusive one beside them.
///
/// # Panics
///
/// If the promise is broken, or the node answers with an error.
pub async fn share<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let (one, two) = (subject.shared("a", "one"), subject.shared("a", "two"));
    let mut brief = subject.shared("a", "brief");
    brief.expiry = SHORT;

    subject.acquired(&one, "a free name can be shared").await;
    subject.acquired(&two, "a shared name can be shared").await;
    subject
        .acquired(&brief, "a shared name can be shared")
        .await;
    let promise = "all shared holders are told";
    subject
        .held_by("a", Some((Mode::Shared, &["brief", "one", "two"])), promise)
        .await;
    let promise = "a shared acquisition that comes again has succeeded";
    let again = subject.shared("a", "brief");
    subject.acquired(&again, promise).await;

    passed().await;
    let promise = "each shared holder has an expiry of its own, even if it is acquired again";
    subject
        .held_by("a", Some((Mode::Shared, &["one", "two"])), promise)
        .await;
    let promise = "a shared holder that has expired has nothing to say";
    subject
        .extended(&again, ExtendVote::NotOwner, promise)
        .await;
    subject
        .released(&again, ReleaseVote::NotOwner, promise)
        .await;
    let promise = "one shared holder is not set by extending beside others";
    subject.healed(&again, ExtendVote::NotOwner, promise).await;

    subject
        .released(&one, ReleaseVote::Released, "a shared holder can release")
        .await;
    subject
        .released(&one, ReleaseVote::NotOwner, "it has no more to release")
        .await;
    let promise = "a shared holder stays when others release";
    subject
        .held_by("a", Some((Mode::Shared, &["two"])), promise)
        .await;

    let mut briefer = two.clone();
    briefer.expiry = SHORT;
    let promise = "a shared holder can extend, also for less than there is";
    subject
        .extended(&briefer, ExtendVote::Extended, promise)
        .await;
    passed().await;
    let promise = "a shared holder's life is never shortened";
    subject.remaining("a", Duration::ZERO, LONG, promise).await;
    subject.extended(&two, ExtendVote::Extended, promise).await;
    subject
        .released(&two, ReleaseVote::Released, "a shared holder can release")
        .await;
    subject
        .held_by("a", None, "nobody holds what all have released")
        .await;

    let promise = "what the last shared holder has released is free for an exclusive one";
    let exclusive = subject.entry("a", "exclusive");
    subject.acquired(&exclusive, promise).await;
    subject
        .taken(&one, LONG, "an exclusive holder keeps shared ones out")
        .await;
    let promise = "an exclusive holder is no shared one, even with its value";
    let same = subject.shared("a", "exclusive");
    subject.taken(&same, LONG, promise).await;
    subject.extended(&same, ExtendVote::NotOwner, promise).await;
    subject
        .released(&same, ReleaseVote::NotOwner, promise)
        .await;

    let healed = subject.shared("b", "one");
    let promise = "a missing shared holder can be set by extending";
    subject.healed(&healed, ExtendVote::Healed, promise).await;
    subject
        .held_by("b", Some((Mode::Shared, &["one"])), promise)
        .await;
    let promise = "a shared holder is no exclusive one, even with its value";
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

/// Several names are shared all or none.
///
/// # Panics
///
/// If the promise is broken, or the node answers with an error.
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

/// An exclusive one that shared holders have kept out comes in when they have left, although new
/// shared ones ask too; and if it does not come, they are let in again.
///
/// # Panics
///
/// If the promise is broken, or the node answers with an error.
pub async fn take_turns<N: Node>(node: &N) {
    let subject = Subject::new(node);
    let (one, late) = (subject.shared("a", "one"), subject.shared("a", "late"));
    let exclusive = subject.entry("a", "exclusive");
    // The turn lasts for half a second, and is renewed by each try.
    let promise = "an exclusive one is kept out by shared holders";
    subject.acquired(&one, "a free name can be shared").await;
    subject.taken(&exclusive, LONG, promise).await;
    let promise = "an exclusive one that was kept out by shared holders is next";
    subject.taken(&late, WRITER_TURN, promise).await;
    let promise = "whose turn it is to wait is not a holder";
    subject
        .held_by("a", Some((Mode::Shared, &["one"])), promise)
        .await;
    let promise = "shared holders are not touched by who waits";
    subject.acquired(&one, promise).await;
    subject.extended(&one, ExtendVote::Extended, promise).await;

    subject
        .taken(
            &exclusive,
            LONG,
            "an exclusive one is kept out by shared holders",
        )
        .await;
    subject
        .released(&one, ReleaseVote::Released, "a shared holder can release")
        .await;
    subject
        .held_by("a", None, "whose turn it is to come is not a holder")
        .await;
    let promise = "an exclusive one comes in when the last shared holder has left";
    subject.acquired(&exclusive, promise).await;
    subject
        .taken(&late, LONG, "an exclusive holder keeps shared ones out")
        .await;
    subject
        .released(&exclusive, ReleaseVote::Released, "the owner can release")
        .await;
    let promise = "when an exclusive one has had its turn, shared ones come in";
    subject.acquired(&late, promise).await;

    subject
        .taken(
            &exclusive,
            LONG,
            "an exclusive one is kept out by shared holders",
        )
        .await;
    tokio::time::sleep(WRITER_TURN + Duration::from_millis(20)).await;
    let promise = "if the exclusive one does not come, shared ones are let in again";
    subject.acquired(&one, promise).await;
}
