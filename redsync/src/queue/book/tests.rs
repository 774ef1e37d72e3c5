use std::{sync::Arc, time::Duration};

use super::{
    super::{entrant::ToWake, fairness::Sign},
    *,
};
use crate::{OwnerValue, common::Common, node::MemoryNode, options::Options};

/// A waiter joins the queues of these names, each of one letter.
fn join(book: &mut Book, names: &str, mode: Mode) -> Arc<Entrant> {
    let mut options = Options::default();
    options.kind.mode = mode;
    let names: Arc<[Arc<str>]> = names.chars().map(|name| name.to_string().into()).collect();
    let request = Request::new(&names, &Arc::new(options)).expect("a request");
    book.join(request).ok().expect("room in the queues")
}

fn numbers(woken: &ToWake) -> Vec<Number> {
    woken.iter().map(|entrant| entrant.number).collect()
}

#[test]
fn a_waiter_for_several_names_is_one_waiter_until_it_leaves() {
    let mut book = Book::default();
    assert_eq!(book.waiting(), 0);
    let both = join(&mut book, "ab", Mode::Exclusive);
    let one = join(&mut book, "b", Mode::Exclusive);
    assert_eq!(book.waiting(), 2);
    assert!(book.remove(&both) && !book.remove(&both));
    assert_eq!(book.waiting(), 1);
    assert!(!book.has_queue_for(&both.request.names[..1]));
    assert!(book.remove(&one));
    assert_eq!(book.waiting(), 0);
}

#[test]
fn a_queue_knows_the_last_holder_of_each_permit_and_forgets_those_that_are_gone() {
    let common = Common::new([MemoryNode::new().into()]).expect("a node");
    let mut options = Options::default();
    options.kind.permits = 2;
    let request = Request::new(&["a".into()].into(), &Arc::new(options)).expect("a request");
    let lease = |permit| {
        let value = OwnerValue::random("").expect("a value");
        Lease::new(common.site(), &request, permit, value, true)
    };
    let mut queue = Queue::default();
    let gone = lease(0);
    queue.acquired(&gone);
    drop(gone);
    let leases = [1, 1, 0].map(lease);
    for (lease, known) in leases.iter().zip([1, 1, 2]) {
        queue.acquired(lease);
        assert_eq!(queue.holders.len(), known);
    }
}

#[test]
fn the_memory_of_a_crowd_is_freed_when_it_has_gone() {
    let mut book = Book::default();
    let crowd: Vec<_> = ('a'..='z')
        .chain('A'..='Z')
        .map(|name| join(&mut book, &name.to_string(), Mode::Exclusive))
        .collect();
    let capacity = book.by_name.capacity();
    let (most, rest) = crowd.split_at(crowd.len() / 2);
    for entrant in most {
        book.remove(entrant);
    }
    // Not at each that leaves, because the rest is moved each time.
    assert!(book.by_name.capacity() > capacity / 2);
    for entrant in rest {
        book.remove(entrant);
    }
    assert!(book.by_name.capacity() < capacity / 4);
}

#[test]
fn shared_waiters_are_ahead_of_those_that_came_later() {
    let mut book = Book::default();
    let first = join(&mut book, "a", Mode::Shared);
    let second = join(&mut book, "a", Mode::Shared);
    let writer = join(&mut book, "ab", Mode::Exclusive);
    let third = join(&mut book, "ab", Mode::Shared);
    assert!(!book.has_shared_ahead(&first));
    assert!(book.has_shared_ahead(&second) && book.has_shared_ahead(&writer));
    // It comes behind the writer.
    assert!(book.has_shared_ahead(&third));
    book.remove(&first);
    assert!(!book.has_shared_ahead(&second));
}

#[test]
fn a_rival_is_another_exclusive_waiter_for_one_of_the_names() {
    let mut book = Book::default();
    let writer = join(&mut book, "ab", Mode::Exclusive);
    let reader = join(&mut book, "b", Mode::Shared);
    assert!(!book.has_rival(&writer) && book.has_rival(&reader));
    join(&mut book, "a", Mode::Exclusive);
    assert!(book.has_rival(&writer));
}

#[test]
fn a_run_of_shared_waiters_has_one_that_leads_and_others_that_follow() {
    let mut book = Book::default();
    let [first, second] = [(); 2].map(|()| join(&mut book, "a", Mode::Shared));
    let writer = join(&mut book, "a", Mode::Exclusive);
    assert!(book.is_first(&first) && !book.follows(&first));
    assert!(book.follows(&second) && !book.is_first(&second));
    assert!(!book.follows(&writer) && !book.is_first(&writer));
}

#[test]
fn whoever_leaves_lets_only_those_behind_it_move_up() {
    let mut book = Book::default();
    let first = join(&mut book, "a", Mode::Exclusive);
    let both = join(&mut book, "ab", Mode::Exclusive);
    let last = join(&mut book, "b", Mode::Exclusive);
    book.remove(&both);
    let mut woken = ToWake::new();
    book.notify_behind(&both, &mut woken);
    assert_eq!(numbers(&woken), [last.number]);
    book.remove(&first);
    let mut woken = ToWake::new();
    book.notify_behind(&first, &mut woken);
    assert!(woken.is_empty());
}

#[test]
fn a_shared_waiter_that_enters_lets_those_of_its_run_enter_too() {
    let mut book = Book::default();
    let [first, second, third] = [(); 3].map(|()| join(&mut book, "a", Mode::Shared));
    join(&mut book, "a", Mode::Exclusive);
    join(&mut book, "a", Mode::Shared);
    book.remove(&first);
    let mut woken = ToWake::new();
    book.notify_shared(&first, &mut woken);
    assert_eq!(numbers(&woken), [second.number, third.number]);
}

/// Lets a shared waiter enter. Returns the numbers of those that are notified.
fn enter(book: &mut Book, entrant: &Entrant) -> Vec<Number> {
    book.remove(entrant);
    let mut woken = ToWake::new();
    book.notify_shared(entrant, &mut woken);
    numbers(&woken)
}

#[test]
fn a_crowd_of_shared_waiters_is_notified_once() {
    let mut book = Book::default();
    let crowd: Vec<_> = (0..9).map(|_| join(&mut book, "a", Mode::Shared)).collect();
    assert_eq!(enter(&mut book, &crowd[0]).len(), 8);
    // The one that is first now, because its attempt may have failed.
    assert_eq!(enter(&mut book, &crowd[5]), [crowd[1].number]);
    let newcomers = [(); 2].map(|()| join(&mut book, "a", Mode::Shared));
    let [first, second] = newcomers.each_ref().map(|it| it.number);
    assert_eq!(
        enter(&mut book, &crowd[7]),
        [first, second, crowd[1].number]
    );
    assert_eq!(enter(&mut book, &newcomers[0]), [crowd[1].number]);
    // Its attempt has failed, and so may those of the others.
    crowd[1].note_failure();
    let rest = [2, 3, 4, 6, 8].map(|index| crowd[index].number);
    assert_eq!(enter(&mut book, &crowd[1]), [&rest[..], &[second]].concat());
}

#[test]
fn a_writer_that_moves_to_the_head_behind_a_reader_is_notified() {
    let mut book = Book::default();
    let reader = join(&mut book, "a", Mode::Shared);
    let writer = join(&mut book, "a", Mode::Exclusive);
    join(&mut book, "a", Mode::Shared);
    book.remove(&reader);
    let mut woken = ToWake::new();
    book.notify_shared(&reader, &mut woken);
    assert_eq!(numbers(&woken), [writer.number]);
}

#[test]
fn a_queue_that_comes_back_knows_of_other_processes() {
    let mut book = Book::default();
    let (now, time) = (Instant::now(), Duration::from_millis(50));
    let entrant = join(&mut book, "a", Mode::Exclusive);
    let names = &entrant.request.names;
    book.each_queue(names, |queue| queue.fairness.note(Sign::Held, now));
    book.remove(&entrant);
    join(&mut book, "a", Mode::Exclusive);
    book.each_queue(names, |queue| {
        assert!(queue.fairness.fair_hand_over_time(time, now) < time);
    });
}
