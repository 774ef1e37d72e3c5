use super::*;

#[test]
fn only_a_node_that_may_have_a_key_is_released() {
    let acquired = |answer| {
        let mut key = Key::absent();
        key.acquired(answer, false);
        key.is_placed()
    };
    assert!(acquired(Ok(AcquireVote::Acquired { number: None })));
    assert!(!acquired(Ok(AcquireVote::Taken { remaining: None })));
    assert!(acquired(Err(NodeError::TimedOut)));
    assert!(acquired(Err(NodeError::Unexpected("".into()))));
    assert!(!acquired(Err(NodeError::NotSent)));
    assert!(!acquired(Err(NodeError::refused("OOM", ""))));
}

#[test]
fn a_fenced_lock_needs_a_number_that_a_node_can_have_counted() {
    let counts = |number: Option<u64>, is_fenced| {
        let mut key = Key::absent();
        let number = number.map(FencingToken::new);
        let vote = key.acquired(Ok(AcquireVote::Acquired { number }), is_fenced);
        // Its key has to be released, even if its number does not count.
        assert!(key.is_placed());
        let is_granted = matches!(vote, Vote::Granted);
        assert_eq!(key.number(), number.filter(|_| is_granted));
        is_granted
    };
    assert!(counts(Some(7), true) && counts(None, false));
    assert!(!counts(None, true));
    let largest = FencingToken::MAX.get();
    assert!(counts(Some(largest), true) && !counts(Some(largest + 1), true));
}

#[test]
fn a_node_that_was_without_the_key_counts_after_a_round_that_began_later() {
    let mut key = Key::absent();
    let start = Instant::now();
    let later = start + Duration::from_millis(1);
    let after = later + Duration::from_millis(1);
    let extended = |key: &mut Key, vote| key.extended(Ok(vote), later);
    let is_missing = |vote| matches!(vote, Vote::Missing);
    let taken = extended(&mut key, ExtendVote::NotOwner);
    assert!(matches!(taken, Vote::Refused { .. }), "{taken:?}");
    assert!(key.lacks_key());
    assert!(is_missing(extended(&mut key, ExtendVote::Missing)));
    assert!(key.lacks_key());
    assert!(is_missing(extended(&mut key, ExtendVote::Healed)));
    assert!(!key.lacks_key());
    key.forget_gap_before(start);
    assert!(is_missing(extended(&mut key, ExtendVote::Extended)));
    key.forget_gap_before(after);
    let granted = extended(&mut key, ExtendVote::Extended);
    assert!(matches!(granted, Vote::Granted));
}

#[test]
fn after_a_lost_answer_a_missing_key_does_not_mean_another_holder() {
    let mut key = Key::absent();
    let now = Instant::now();
    let lost = key.released(Err(NodeError::TimedOut), now);
    assert!(matches!(lost, Settled::Repeat));
    let gone = key.released(Ok(ReleaseVote::NotOwner), now);
    assert!(matches!(
        gone,
        Settled::Vote(Vote::Failed(NodeError::TimedOut))
    ));
    let again = key.released(Ok(ReleaseVote::NotOwner), now);
    assert!(matches!(again, Settled::Vote(Vote::Refused { .. })));
}

#[test]
fn a_release_that_is_asked_again_may_have_been_carried_out() {
    let mut key = Key::absent();
    key.may_be_released();
    let gone = key.released(Ok(ReleaseVote::NotOwner), Instant::now());
    assert!(matches!(
        gone,
        Settled::Vote(Vote::Failed(NodeError::TimedOut))
    ));
    key.may_be_released();
    let released = key.released(Ok(ReleaseVote::Released), Instant::now());
    assert!(matches!(released, Settled::Vote(Vote::Granted)));
}

#[test]
fn a_resumed_key_that_is_missing_may_still_be_set_for_a_while() {
    let start = Instant::now();
    let end = start + Duration::from_secs(1);
    let mut key = Key::resumed(end);
    let mut not_owner = |at| key.released(Ok(ReleaseVote::NotOwner), at);
    let again = not_owner(start);
    let pause = RELEASE_PAUSE;
    assert!(matches!(again, Settled::VoteAndRepeatAfter(Vote::Refused { .. }, it) if it == pause));
    let left = Duration::from_millis(1);
    let last = not_owner(end - left);
    assert!(matches!(last, Settled::VoteAndRepeatAfter(_, it) if it == left));
    let refused = not_owner(end);
    assert!(matches!(refused, Settled::Vote(Vote::Refused { .. })));
    let released = Key::resumed(end).released(Ok(ReleaseVote::Released), start);
    assert!(matches!(released, Settled::Vote(Vote::Granted)));
}

#[test]
fn a_key_that_was_set_again_may_be_set_once_more_after_its_release() {
    let start = Instant::now();
    let end = start + Duration::from_secs(1);
    let mut key = Key::absent();
    key.may_be_set(end);
    key.place_again();
    let mut released = |at| key.released(Ok(ReleaseVote::Released), at);
    let first = released(start);
    assert!(matches!(
        first,
        Settled::VoteAndRepeatAfter(Vote::Granted, _)
    ));
    assert!(matches!(released(end), Settled::Vote(Vote::Granted)));
}

#[test]
fn the_pause_before_the_release_of_a_resumed_key_is_repeated_grows() {
    let now = Instant::now();
    let mut key = Key::resumed(now + Duration::from_secs(60));
    let mut pause = || match key.released(Ok(ReleaseVote::NotOwner), now) {
        Settled::VoteAndRepeatAfter(_, pause) => pause,
        settled => panic!("{settled:?}"),
    };
    let pauses: Vec<_> = (0..4).map(|_| pause()).collect();
    let first = RELEASE_PAUSE;
    assert_eq!(pauses, [first, 2 * first, 4 * first, 8 * first]);
}

#[test]
fn a_key_is_placed_before_it_is_acquired_and_reserved_if_the_node_says_so() {
    let mut key = Key::absent();
    assert!(!key.is_placed() && !key.is_reserved());
    key.place();
    assert!(key.is_placed());
    let remaining = None;
    assert!(matches!(
        key.acquired(Ok(AcquireVote::Reserved { remaining }), false),
        Vote::Refused { .. }
    ));
    assert!(key.is_reserved() && !key.is_placed());
}
