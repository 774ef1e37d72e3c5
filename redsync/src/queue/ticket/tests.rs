mod memory;
mod ownerless;

use std::{sync::Arc, time::Duration};

use super::*;
use crate::{
    OwnerValue, common::Common, node::MemoryNode, options::Options, quorum::tally::Verdict,
    services::Waiting,
};

const LONG: Duration = Duration::from_secs(60);

fn process() -> Arc<Common> {
    Common::new([MemoryNode::new().into()]).expect("a node")
}

fn wait_with(common: &Common, change: impl FnOnce(&mut Options)) -> Ticket {
    let mut options = Options::default();
    change(&mut options);
    let request = Request::new(&["a".into()].into(), &Arc::new(options)).expect("a request");
    Ticket::join(request, &common.queues).expect("room in the queue")
}

fn wait(common: &Common) -> Ticket {
    wait_with(common, |_| {})
}

fn wait_shared(common: &Common) -> Ticket {
    wait_with(common, |options| options.kind.mode = Mode::Shared)
}

/// A waiter for one of two permits.
fn wait_for_permit(common: &Common) -> Ticket {
    wait_with(common, |options| options.kind.permits = 2)
}

/// A lock for a waiter, valid for this long.
fn held(common: &Common, ticket: &Ticket, permit: usize, valid: Duration) -> Arc<Lease> {
    let value = OwnerValue::random("").expect("a value");
    let lease = Lease::new(common.site(), ticket.request(), permit, value, true);
    lease.begin_hold(Instant::now() + valid);
    lease
}

/// Leaves the queue with one of the permits.
fn enter(common: &Common, ticket: &Ticket, permit: usize) -> Arc<Lease> {
    let lease = held(common, ticket, permit, LONG);
    ticket.leave_with(&lease);
    lease
}

fn is_told_to_act(ticket: &Ticket) -> bool {
    matches!(ticket.take_notice(), Some(Notice::Act))
}

fn has_no_notice(ticket: &Ticket) -> bool {
    ticket.take_notice().is_none()
}

#[test]
fn a_waiter_that_leaves_notifies_the_one_behind_it_once() {
    let common = process();
    let (first, second, third) = (wait(&common), wait(&common), wait(&common));
    assert!(first.standing().may_act && !second.standing().may_act);
    drop(first);
    assert!(second.standing().may_act);
    assert!(is_told_to_act(&second) && has_no_notice(&second));
    assert!(has_no_notice(&third));
}

#[test]
fn a_newcomer_has_to_join_the_queue_of_its_name_if_there_is_one() {
    let common = process();
    let has_queue_for = |name: &str| {
        let request = Request::new(&[name.into()].into(), &Arc::default()).expect("a request");
        common.queues.has_queue_for(&request)
    };
    assert!(!has_queue_for("a"));
    let waiter = wait(&common);
    assert!(has_queue_for("a") && !has_queue_for("b"));
    drop(waiter);
    assert!(!has_queue_for("a"));
}

#[test]
fn the_end_of_a_lock_is_a_notice_for_the_waiter_that_acts() {
    let common = process();
    let names = ["a".into()];
    // Nobody is there yet.
    assert!(common.queues.is_empty());
    common.queues.notify(&names, Mode::Exclusive);
    let (first, second) = (wait(&common), wait(&common));
    assert!(!common.queues.is_empty());
    common.queues.notify(&names, Mode::Exclusive);
    assert!(is_told_to_act(&first) && has_no_notice(&second));
    assert!(!first.standing().is_behind_shared);
    common.queues.notify(&names, Mode::Shared);
    assert!(first.standing().is_behind_shared);
}

#[test]
fn while_a_lock_is_held_here_nobody_acts() {
    let common = process();
    let (first, second) = (wait(&common), wait(&common));
    let lease = enter(&common, &first, 0);
    drop(first);
    assert!(has_no_notice(&second));
    let standing = second.standing();
    assert!(standing.is_held_here && !standing.may_act && !standing.is_behind_shared);
    lease.end();
    let standing = second.standing();
    assert!(!standing.is_held_here && standing.may_act);
}

#[test]
fn a_lock_that_is_lost_is_not_held_here() {
    let common = process();
    let (first, second) = (wait(&common), wait(&common));
    let lease = held(&common, &first, 0, Duration::ZERO);
    first.leave_with(&lease);
    assert!(!second.standing().is_held_here);
}

#[test]
fn a_shared_lock_is_not_held_here_but_those_behind_it_know_of_it() {
    let common = process();
    let (reader, writer) = (wait_shared(&common), wait(&common));
    let _lease = enter(&common, &reader, 0);
    let standing = writer.standing();
    assert!(standing.is_behind_shared && !standing.is_held_here && standing.may_act);
    assert!(is_told_to_act(&writer));
    assert!(!wait_shared(&common).standing().is_behind_shared);
}

#[test]
fn a_shared_waiter_that_enters_after_a_failure_notifies_all_others_again() {
    let common = process();
    let [first, second, third, fourth] = [(); 4].map(|()| wait_shared(&common));
    let is_told_to_share = |ticket: &Ticket| matches!(ticket.take_notice(), Some(Notice::Share));
    let _one = enter(&common, &first, 0);
    assert!([&second, &third, &fourth].into_iter().all(is_told_to_share));
    // So may the attempts of the others.
    second.note_failure();
    let _other = enter(&common, &second, 0);
    assert!([&third, &fourth].into_iter().all(is_told_to_share));
}

#[test]
fn a_permit_that_is_held_here_is_not_tried_and_the_next_waiter_acts_for_the_rest() {
    let common = process();
    let [first, second, third] = [(); 3].map(|()| wait_for_permit(&common));
    let _one = enter(&common, &first, 0);
    assert!(is_told_to_act(&second));
    assert!(second.standing().may_act && !second.standing().is_held_here);
    let mut permits = second.permits();
    assert_eq!([permits.take_next(), permits.take_next()], [Some(1), None]);
    let other = enter(&common, &second, 1);
    assert!(has_no_notice(&third), "all permits are held here");
    assert!(third.standing().is_held_here && !third.standing().may_act);
    other.end();
    assert!(third.standing().may_act);
}

/// Ends a lock that is handed over. Returns which of these waiters has it now, and the lock.
fn end(held: OwnedLease, waiters: &[Ticket]) -> (usize, OwnedLease) {
    assert!(held.end_hold().is_none(), "it is handed over");
    let handed_over = waiters.iter().map(Ticket::take_handed_over).enumerate();
    let mut handed_over = handed_over.filter_map(|(at, lease)| Some((at, lease?)));
    handed_over.next().expect("one of them has it")
}

/// Lets a waiter search, for longer than any test takes.
fn search(ticket: &Ticket) {
    ticket.step_aside(Some(Instant::now() + LONG));
}

/// One of two permits, and waiters of which the first searches for the other.
fn searching(common: &Arc<Common>, waiters: usize) -> (OwnedLease, Vec<Ticket>) {
    let holder = wait_for_permit(common);
    let lease = enter(common, &holder, 0);
    let waiters: Vec<_> = (0..waiters).map(|_| wait_for_permit(common)).collect();
    search(&waiters[0]);
    (common.own(lease), waiters)
}

#[tokio::test(start_paused = true)]
async fn a_permit_passes_a_waiter_that_searches_up_to_a_bound() {
    let common = process();
    let (mut held, waiters) = searching(&common, 20);
    for next in 1..=8 {
        let at;
        (at, held) = end(held, &waiters);
        assert_eq!(at, next);
        assert!(has_no_notice(&waiters[0]), "it searches already");
        assert!(waiters[0].standing().may_act);
    }
    let (at, _held) = end(held, &waiters);
    assert_eq!(at, 0, "it has let four pass for each permit");
    assert!(is_told_to_act(&waiters[9]), "the next one searches");
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_a_waiter_got_has_not_passed_it() {
    let common = process();
    let (held, waiters) = searching(&common, 20);
    waiters[0].step_aside(None);
    let (at, mut held) = end(held, &waiters);
    assert_eq!(at, 0);
    // Too little validity was left.
    waiters[0].rejoin();
    search(&waiters[0]);
    for next in [1, 2, 3, 4, 5, 6, 7, 8, 0] {
        let at;
        (at, held) = end(held, &waiters);
        assert_eq!(at, next);
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_goes_to_a_waiter_whose_search_is_over_or_that_is_alone() {
    let common = process();
    let (held, waiters) = searching(&common, 3);
    waiters[0].step_aside(None);
    let (at, held) = end(held, &waiters);
    assert_eq!(at, 0);
    // All of them search, so none is passed.
    search(&waiters[1]);
    search(&waiters[2]);
    let (at, _held) = end(held, &waiters);
    assert_eq!(at, 1);
}

#[tokio::test(start_paused = true)]
async fn a_permit_passes_a_waiter_up_to_the_end_of_its_search() {
    let common = process();
    let (held, waiters) = searching(&common, 3);
    let moment = Duration::from_millis(1);
    waiters[0].step_aside(Some(Instant::now() + 2 * moment));
    tokio::time::advance(moment).await;
    let (at, held) = end(held, &waiters);
    assert_eq!(at, 1);
    tokio::time::advance(moment).await;
    let (at, _held) = end(held, &waiters);
    assert_eq!(at, 0);
}

#[tokio::test(start_paused = true)]
async fn a_waiter_that_leaves_while_it_searches_is_followed_by_the_next() {
    let common = process();
    let (held, mut waiters) = searching(&common, 4);
    let (at, held) = end(held, &waiters);
    assert_eq!(at, 1);
    drop(waiters.remove(0));
    assert!(is_told_to_act(&waiters[1]), "the next one searches");
    search(&waiters[1]);
    // Handed over to the last one, which leaves without having read that.
    assert!(held.end_hold().is_none());
    drop(waiters.pop());
    assert!(waiters[1].take_handed_over().is_some(), "it is alone now");
}

#[tokio::test(start_paused = true)]
async fn only_a_waiter_for_a_permit_passes_another_and_no_reader_is_passed() {
    let common = process();
    // The key of the first permit is that of the mutex.
    for between in [wait, wait_shared] {
        let (held, waiters) = searching(&common, 1);
        let (_between, _behind) = (between(&common), wait_for_permit(&common));
        assert_eq!(end(held, &waiters).0, 0);
    }
    // The waiter for a mutex searches for nothing else.
    let common = process();
    let (first, second, _third) = (wait(&common), wait(&common), wait(&common));
    let held = common.own(enter(&common, &first, 0));
    search(&second);
    assert_eq!(end(held, &[second]).0, 0);
}

#[test]
fn a_waiter_knows_which_permits_are_held_or_released_here() {
    let common = process();
    let [first, second, third] = [(); 3].map(|()| wait_for_permit(&common));
    assert_eq!(first.permits_here(), 0b00);
    let _one = enter(&common, &first, 1);
    assert_eq!(second.permits_here(), 0b10);
    let other = enter(&common, &second, 0);
    assert_eq!(third.permits_here(), 0b11);
    other.end();
    assert_eq!(third.permits_here(), 0b11, "its release may be under way");
    drop(other);
    assert_eq!(third.permits_here(), 0b10);
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_handed_over_to_the_next_waiter() {
    let common = process();
    let (first, second, third) = (wait(&common), wait(&common), wait(&common));
    let lease = enter(&common, &first, 0);
    assert!(!second.has_lock() && second.take_handed_over().is_none());
    assert!(common.queues.hand_over(&lease));
    assert!(lease.has_ended());
    assert!(second.has_lock());
    let owned = second.take_handed_over().expect("the lock");
    assert!(!second.has_lock());
    assert!(!owned.lease().has_ended());
    assert!(!common.queues.hand_over(&lease), "it has ended");
    assert!(third.standing().is_held_here);
    owned.leave();
    assert!(is_told_to_act(&third));
}

#[test]
fn another_notice_stays_when_a_waiter_looks_for_a_lock() {
    let common = process();
    let (first, second) = (wait(&common), wait(&common));
    drop(first);
    assert!(!second.has_lock() && second.take_handed_over().is_none());
    assert!(is_told_to_act(&second));
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_hardly_valid_any_more_is_not_handed_over() {
    let common = process();
    let (first, _second) = (wait(&common), wait(&common));
    let least = Options::default().timing.min_validity();
    let lease = held(&common, &first, 0, least / 2);
    first.leave_with(&lease);
    assert!(!common.queues.hand_over(&lease));
    assert!(!lease.has_ended());
}

#[test]
fn a_waiter_that_comes_back_is_where_it_was() {
    let common = process();
    let (first, second) = (wait(&common), wait(&common));
    let lease = held(&common, &first, 0, Duration::ZERO);
    first.leave_with(&lease);
    assert!(second.standing().may_act);
    first.rejoin();
    assert!(first.standing().may_act && !second.standing().may_act);
}

#[test]
fn others_are_notified_when_an_outage_begins_and_not_while_it_goes_on() {
    let common = process();
    let (first, second) = (wait(&common), wait(&common));
    first.report_outages(0);
    assert!(has_no_notice(&second), "there is none");
    first.report_outages(1);
    assert!(matches!(second.take_notice(), Some(Notice::Outage)));
    assert!(has_no_notice(&first));
    first.report_outages(2);
    assert!(has_no_notice(&second));
    assert_eq!(second.standing().outages, 2);
    first.report_outages(0);
    assert!(has_no_notice(&second));
    assert_eq!(second.standing().outages, 0);
}

#[test]
fn a_waiter_knows_who_is_ahead_and_who_comes_after() {
    let common = process();
    let reader = wait_shared(&common);
    assert!(!reader.has_shared_ahead() && !reader.has_rival());
    let writer = wait(&common);
    assert!(writer.has_shared_ahead() && !writer.has_rival());
    let _other = wait(&common);
    assert!(writer.has_rival());
}

#[tokio::test(start_paused = true)]
async fn a_waiter_stays_back_for_processes_that_were_seen() {
    let common = process();
    let waiter = wait(&common);
    assert_eq!(waiter.stay_back(), None);
    waiter.note(Sign::Held);
    assert!(matches!(waiter.stay_back(), Some(Stay::For(_))));
}

#[tokio::test(start_paused = true)]
async fn a_name_is_left_open_now_and_then_and_a_permit_never() {
    let common = process();
    let waiter = wait(&common);
    let opens = async || {
        let at_first = waiter.opening();
        tokio::time::sleep(LONG).await;
        (at_first.is_some(), waiter.opening().is_some())
    };
    assert_eq!(opens().await, (false, true));
    drop(waiter);

    let waiter = wait_for_permit(&process());
    assert_eq!(waiter.opening(), None);
    tokio::time::sleep(LONG).await;
    assert_eq!(waiter.opening(), None);
}

#[test]
fn a_waiter_lets_as_many_come_first_as_last_time() {
    let common = process();
    let (first, second) = (wait(&common), wait(&common));
    for _ in 0..3 {
        assert_eq!(first.changed_hands(), 0);
    }
    let _lease = enter(&common, &first, 0);
    assert_eq!(second.changed_hands(), 2);
}

/// A lock that was acquired on the node, with its owner.
async fn acquired(common: &Common, ticket: &Ticket) -> OwnedLease {
    let value = OwnerValue::random("").expect("a value");
    let lease = Lease::new(common.site(), ticket.request(), 0, value, true);
    assert_eq!(lease.acquire().await, Verdict::Granted);
    lease.begin_hold(Instant::now() + LONG);
    ticket.leave_with(&lease);
    common.own(lease)
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_notified_when_the_release_of_a_dropped_lock_is_confirmed() {
    let common = process();
    let without = |options: &mut Options| options.queueing.hand_overs = 0;
    let (first, second) = (wait_with(&common, without), wait_with(&common, without));
    let owned = acquired(&common, &first).await;
    drop(owned);
    assert!(has_no_notice(&second), "the node has yet to answer");
    common.services.background.drain(|| async {}).await;
    assert!(is_told_to_act(&second) && has_no_notice(&second));
}

#[tokio::test(start_paused = true)]
async fn a_waiter_is_notified_of_a_release_that_is_dropped() {
    let common = process();
    let without = |options: &mut Options| options.queueing.hand_overs = 0;
    let (first, second) = (wait_with(&common, without), wait_with(&common, without));
    let owned = acquired(&common, &first).await;
    let releasing = owned.end_hold().expect("it is not handed over");
    assert!(has_no_notice(&second));
    drop(releasing);
    assert!(is_told_to_act(&second) && has_no_notice(&second));
    common.services.background.drain(|| async {}).await;
    assert!(has_no_notice(&second), "it is notified once");
}

#[tokio::test(start_paused = true)]
async fn an_attempt_that_is_dropped_notifies_nobody() {
    let common = process();
    let (first, second) = (wait(&common), wait(&common));
    let value = OwnerValue::random("").expect("a value");
    let lease = Lease::new(common.site(), first.request(), 0, value, true);
    assert_eq!(lease.acquire().await, Verdict::Granted);
    drop(common.own(lease));
    common.services.background.drain(|| async {}).await;
    assert!(has_no_notice(&first) && has_no_notice(&second));
}
