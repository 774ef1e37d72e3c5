use super::*;
use crate::options::Delay;

const MS: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);

const ALONE: Reliance = Reliance {
    may_act: true,
    wakes: false,
    outages: 0,
};
const WOKEN: Reliance = Reliance {
    wakes: true,
    ..ALONE
};
const BEHIND: Reliance = Reliance {
    may_act: false,
    ..ALONE
};

fn every(pause: Duration) -> Retry {
    Retry {
        delay: Delay::Uniform(pause..pause),
        ..Retry::default()
    }
}

/// The polls of a waiter, and its clock.
struct Test {
    polls: Polls,
    retry: Retry,
    start: Instant,
    now: Instant,
}

impl Test {
    /// A waiter that has found the lock taken.
    fn new(limit: impl FnOnce(Instant) -> Limit, retry: Retry) -> Self {
        let now = Instant::now();
        let mut polls = Polls::new(limit(now), &retry, now, now);
        polls.failed(Found::Taken, &retry, now);
        Self {
            polls,
            retry,
            start: now,
            now,
        }
    }

    /// Lets the time pass up to the next poll. Returns how long it took, and what it does.
    fn poll(&mut self, on: Reliance) -> (Duration, Poll) {
        let before = self.now;
        self.now = self.polls.due().max(before);
        let poll = self.polls.count(&self.retry, on, self.now);
        if poll == Poll::Attempt {
            self.polls.failed(Found::Taken, &self.retry, self.now);
        }
        (self.now - before, poll)
    }
}

#[test]
fn polls_grow_while_wake_ups_work_and_are_back_when_they_stop() {
    let mut test = Test::new(|now| Limit::within(now, 600 * SECOND), every(100 * MS));
    assert_eq!(test.poll(ALONE), (100 * MS, Poll::Attempt));
    // Wake-ups have begun to work.
    assert_eq!(test.poll(WOKEN), (100 * MS, Poll::Wait));
    for least in [1000, 2000, 4000, 4500, 4500, 4500] {
        let (pause, poll) = test.poll(WOKEN);
        assert_eq!(poll, Poll::Attempt);
        let range = least * MS..=2 * least * MS + GRID;
        assert!(range.contains(&pause), "{pause:?}");
    }
    test.now += SECOND;
    test.polls.hurry(&test.retry, test.now);
    assert_eq!(test.poll(ALONE), (100 * MS, Poll::Attempt));
    assert_eq!(test.poll(ALONE), (100 * MS, Poll::Attempt));
}

#[test]
fn a_watch_that_begins_anew_is_relied_on_once_it_works() {
    let mut test = Test::new(|now| Limit::within(now, 600 * SECOND), every(100 * MS));
    for _ in 0..5 {
        test.poll(WOKEN);
    }
    test.now += SECOND;
    test.polls.check(&test.retry, test.now);
    assert_eq!(test.poll(WOKEN), (100 * MS, Poll::Wait));
    let (pause, poll) = test.poll(WOKEN);
    assert!(pause > 4 * SECOND, "{pause:?}");
    assert_eq!(poll, Poll::Attempt);
    test.now += SECOND;
    test.polls.check(&test.retry, test.now);
    assert_eq!(test.poll(ALONE), (100 * MS, Poll::Attempt));
    assert_eq!(test.poll(ALONE), (100 * MS, Poll::Attempt));
}

#[test]
fn skipped_polls_count_as_if_they_had_been_made() {
    for on in [ALONE, WOKEN, BEHIND] {
        let mut test = Test::new(|_| Limit::Tries(51), every(100 * MS));
        let mut attempts = 0;
        while !test.polls.are_over(&test.retry, test.now) {
            let (_, poll) = test.poll(on);
            attempts += u32::from(poll == Poll::Attempt);
        }
        assert_eq!(test.now - test.start, 5 * SECOND);
        let expected = if on.wakes {
            2..=4
        } else if on.may_act {
            50..=50
        } else {
            1..=1
        };
        assert!(expected.contains(&attempts), "{attempts}");
    }
}

#[test]
fn polls_that_would_have_been_skipped_later_have_not_been_made() {
    let mut test = Test::new(|_| Limit::Tries(101), every(100 * MS));
    for _ in 0..3 {
        test.poll(WOKEN);
        test.now += SECOND / 2;
        test.polls.hurry(&test.retry, test.now);
    }
    while !test.polls.are_over(&test.retry, test.now) {
        test.poll(ALONE);
    }
    let took = test.now - test.start;
    assert!(took.abs_diff(10 * SECOND) < SECOND / 2, "{took:?}");
}

#[test]
fn at_its_deadline_a_waiter_that_would_have_been_woken_makes_no_attempt() {
    let last = |on| {
        let mut test = Test::new(|now| Limit::within(now, 50 * MS), every(100 * MS));
        test.poll(on)
    };
    assert_eq!(last(WOKEN), (50 * MS, Poll::Fail));
    assert_eq!(last(ALONE), (50 * MS, Poll::Attempt));
    assert_eq!(last(BEHIND), (50 * MS, Poll::Attempt));
    // The number of attempts is what the user asked for.
    let mut test = Test::new(|_| Limit::Tries(2), every(100 * MS));
    assert_eq!(test.poll(WOKEN), (100 * MS, Poll::Attempt));
}

#[test]
fn a_reservation_is_renewed_at_the_usual_pace() {
    let mut test = Test::new(|_| Limit::Tries(99), every(100 * MS));
    test.poll(WOKEN);
    test.polls.failed(Found::Reserved, &test.retry, test.now);
    for _ in 0..9 {
        let (pause, poll) = test.poll(WOKEN);
        assert_eq!((pause, poll), (100 * MS, Poll::Attempt));
        test.polls.failed(Found::Reserved, &test.retry, test.now);
    }
}

#[test]
fn pauses_grow_in_an_outage() {
    let mut test = Test::new(|now| Limit::within(now, 60 * SECOND), every(100 * MS));
    for least in [100, 100, 125, 250, 500, 500, 500] {
        let before = test.now;
        test.polls.failed(Found::NoQuorum, &test.retry, test.now);
        test.now = test.polls.due();
        let pause = test.now - before;
        let range = least * MS..=2 * least * MS + GRID;
        assert!(range.contains(&pause), "{pause:?}");
        assert_eq!(
            test.polls.count(&test.retry, ALONE, test.now),
            Poll::Attempt
        );
    }
}

#[test]
fn a_poll_behind_others_counts_and_only_the_last_is_an_attempt() {
    let mut test = Test::new(|_| Limit::Tries(4), every(100 * MS));
    assert_eq!(test.poll(BEHIND).1, Poll::Wait);
    assert!(!test.polls.are_over(&test.retry, test.now));
    assert_eq!(test.poll(BEHIND).1, Poll::Attempt);
    assert!(test.polls.are_over(&test.retry, test.now));
}

#[test]
fn the_outages_of_others_make_a_poll_the_last() {
    let retry = Retry {
        outage_attempts: 3,
        ..Retry::default()
    };
    let now = Instant::now();
    let mut polls = Polls::new(Limit::Tries(9), &retry, now, now);
    let behind = |outages| Reliance { outages, ..BEHIND };
    assert_eq!(polls.count(&retry, behind(1), now), Poll::Wait);
    assert_eq!(polls.count(&retry, behind(2), now), Poll::Attempt);
    polls.failed(Found::NoQuorum, &retry, now);
    assert!(polls.are_over(&retry, now));
    // If the first outage is to end the call, there still has to be one.
    let retry = Retry {
        outage_attempts: 1,
        ..retry
    };
    let mut polls = Polls::new(Limit::Tries(9), &retry, now, now);
    assert_eq!(polls.count(&retry, BEHIND, now), Poll::Wait);
}

#[test]
fn a_waiter_whose_call_an_outage_ends_polls_more_often_while_it_is_woken() {
    let longest = |outage_attempts| {
        let retry = Retry {
            outage_attempts,
            ..every(100 * MS)
        };
        let mut test = Test::new(|now| Limit::within(now, 600 * SECOND), retry);
        let pauses = (0..9).map(|_| test.poll(WOKEN).0);
        pauses.max().expect("a pause")
    };
    assert!(longest(3) <= 2 * SECOND + GRID);
    assert!(longest(u32::MAX) > 4 * SECOND);
}

#[test]
fn polls_that_are_put_off_are_due_together() {
    let origin = Instant::now();
    for (millis, expected) in [(0, 0), (1, 250), (250, 250), (251, 500), (1_020, 1_250)] {
        assert_eq!(
            on_grid(origin + millis * MS, origin),
            origin + expected * MS
        );
    }
}

#[test]
fn after_an_attempt_that_took_longer_than_its_pause_there_is_a_pause_of_the_same_length() {
    let rest_after = |took: Duration, limit: fn(Instant) -> Limit| {
        let mut test = Test::new(limit, every(100 * MS));
        assert_eq!(test.poll(ALONE), (100 * MS, Poll::Attempt));
        test.now += took;
        test.polls.failed(Found::Taken, &test.retry, test.now);
        test.polls.due().saturating_duration_since(test.now)
    };
    let endless = |_: Instant| Limit::Tries(u32::MAX);
    assert_eq!(rest_after(40 * MS, endless), 60 * MS);
    assert_eq!(rest_after(300 * MS, endless), 300 * MS);
    assert_eq!(rest_after(60 * SECOND, endless), SECOND);
    // The last attempt is made at the deadline.
    let second = |now| Limit::within(now, SECOND);
    assert_eq!(rest_after(300 * MS, second), 300 * MS);
    assert_eq!(rest_after(700 * MS, second), 200 * MS);
}

#[test]
fn the_last_poll_is_due_at_the_deadline_or_as_soon_as_one_try_is_left() {
    let test = Test::new(|now| Limit::within(now, 5 * SECOND), every(SECOND));
    assert_eq!(test.polls.last_due(test.now), test.start + 5 * SECOND);
    let mut test = Test::new(|_| Limit::Tries(3), every(SECOND));
    assert!(test.polls.last_due(test.now) > test.now + 1_000 * SECOND);
    test.poll(ALONE);
    assert_eq!(test.polls.last_due(test.now), test.now + SECOND);
    test.now += SECOND;
    assert_eq!(
        test.polls.count(&test.retry, ALONE, test.now),
        Poll::Attempt
    );
    assert_eq!(test.polls.last_due(test.now), test.now, "it is being made");
}
