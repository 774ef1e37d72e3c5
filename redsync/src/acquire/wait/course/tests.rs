//! A test for each transition that a rule requires.

use super::*;
use crate::{
    options::{Delay, Retry},
    queue::fairness::Sign,
};

const MS: Duration = Duration::from_millis(1);
const POLL: Duration = Duration::from_secs(60);

fn options() -> Options {
    Options {
        retry: Retry {
            delay: Delay::Uniform(POLL..POLL),
            ..Retry::default()
        },
        ..Options::default()
    }
}

/// A waiter and its clock.
struct Test {
    course: Course,
    options: Options,
    now: Instant,
}

impl Test {
    fn new() -> Self {
        let (options, now) = (options(), Instant::now());
        let limit = Limit::Tries(9);
        Self {
            course: Course::new(limit, &options, now, now),
            options,
            now,
        }
    }

    fn on(&mut self, event: Event) -> Action {
        self.course.on(event, &self.options, self.now)
    }

    /// Lets the time pass up to the next timer.
    fn timer(&mut self, may_act: bool) -> Action {
        self.now = self.course.due();
        self.on(Event::Timer(Reliance {
            may_act,
            wakes: false,
            outages: 0,
        }))
    }

    fn free(&mut self, has_changed: bool, checks: u32) -> Action {
        self.on(Event::Free(Free {
            has_changed,
            checks,
            pauses: true,
            opening: None,
            may_act: true,
        }))
    }

    fn fail(&mut self, divided: bool) -> Action {
        self.on(failed(Found::Taken, divided, true))
    }
}

fn failed(found: Found, divided: bool, may_act: bool) -> Event {
    Event::Failed(Failed {
        found,
        divided,
        free_in: None,
        may_act,
    })
}

fn notified(stay_back: Option<Duration>) -> Event {
    Event::Notified {
        stay_back: stay_back.map(Stay::For),
        can_watch: true,
    }
}

#[test]
fn a_waiter_behind_others_does_nothing_until_it_is_notified() {
    let mut test = Test::new();
    assert_eq!(test.on(Event::Joined { may_act: false }), Action::Wait);
    assert_eq!(test.timer(false), Action::Wait);
    assert_eq!(test.on(notified(None)), Action::Watch);
    assert_eq!(test.free(true, 0), Action::Attempt);
}

#[test]
fn a_holder_of_this_process_that_stands_still_is_found_out() {
    let mut test = Test::new();
    test.on(Event::Joined { may_act: false });
    let start = test.now;
    assert_eq!(test.timer(true), Action::Attempt);
    assert_eq!(test.now - start, test.options.timing.expiry());
}

#[test]
fn a_waiter_that_has_stayed_back_learns_whether_others_came() {
    let mut test = Test::new();
    test.on(Event::Joined { may_act: false });
    assert_eq!(test.on(notified(Some(5 * MS))), Action::Wait);
    assert_eq!(test.timer(true), Action::Watch);
    let nobody = Some(Sign::NobodyCame(5 * MS));
    assert_eq!(test.course.state().sign(false, test.now), nobody);
    // First the rest of the release in this process, then a hold by another process.
    assert_eq!(test.course.state().sign(true, test.now), None);
    test.now += 2 * MS;
    assert_eq!(test.course.state().sign(true, test.now), Some(Sign::Held));
    assert_eq!(test.free(true, 0), Action::Attempt);
    // After an attempt, a hold by another is not news.
    assert_eq!(test.fail(false), Action::Watch);
    test.now += 2 * MS;
    assert_eq!(test.course.state().sign(true, test.now), None);
}

#[test]
fn a_waiter_searches_from_its_notice_to_the_end_of_its_attempt() {
    let mut test = Test::new();
    let searches = |test: &Test| test.course.state().is_searching();
    test.on(Event::Joined { may_act: false });
    assert!(!searches(&test), "it is queued");
    assert_eq!(test.on(notified(Some(5 * MS))), Action::Wait);
    assert!(searches(&test), "it stays back");
    assert_eq!(test.timer(true), Action::Watch);
    assert!(searches(&test), "the nodes have yet to say what is free");
    assert_eq!(test.free(true, 0), Action::Attempt);
    assert!(searches(&test));
    assert_eq!(test.fail(false), Action::Watch);
    assert!(!searches(&test), "it has found nothing");
    assert_eq!(test.free(true, 0), Action::Attempt);
    assert_eq!(test.on(failed(Found::NoQuorum, false, true)), Action::Wait);
    assert!(!searches(&test), "it pauses");
}

#[test]
fn a_waiter_lets_others_come_first_for_as_many_checks() {
    let mut test = Test::new();
    test.on(Event::Joined { may_act: true });
    assert_eq!(test.free(true, 2), Action::Watch);
    assert_eq!(test.free(false, 0), Action::Watch);
    assert_eq!(test.free(false, 0), Action::Attempt);
}

#[test]
fn after_wake_ups_that_led_to_nothing_it_checks_first_every_other_time() {
    let mut test = Test::new();
    test.on(Event::Joined { may_act: true });
    for _ in 1..FAILED_WAKE_UPS {
        assert_eq!(test.free(true, 0), Action::Attempt);
        assert_eq!(test.fail(false), Action::Watch);
    }
    for _ in 0..5 {
        assert_eq!(test.free(true, 0), Action::Attempt);
        assert_eq!(test.fail(false), Action::Watch);
        assert_eq!(test.free(true, 0), Action::Watch);
        assert_eq!(test.free(false, 0), Action::Attempt);
        assert_eq!(test.fail(false), Action::Watch);
    }
}

#[test]
fn a_watch_that_begins_anew_is_checked_at_the_usual_pace() {
    let mut test = Test::new();
    test.options.retry.delay = Delay::Uniform(MS..MS);
    test.course = Course::new(
        Limit::within(test.now, 10 * POLL),
        &test.options,
        test.now,
        test.now,
    );
    test.on(Event::Joined { may_act: true });
    test.free(true, 0);
    test.fail(false);
    let woken = Event::Timer(Reliance {
        may_act: true,
        wakes: true,
        outages: 0,
    });
    test.now = test.course.due();
    assert_eq!(test.on(woken), Action::Wait);
    assert!(test.course.due() > test.now + 500 * MS);
    test.course.watches_anew(&test.options, test.now);
    assert_eq!(test.course.due(), test.now + MS);
}

#[test]
fn a_divided_attempt_is_not_repeated_by_all_at_once() {
    let mut test = Test::new();
    test.on(Event::Joined { may_act: true });
    test.free(true, 0);
    assert_eq!(test.fail(true), Action::Watch);
    assert_eq!(test.free(true, 0), Action::Wait);
    assert_eq!(test.course.due(), test.now + DIVISION_PAUSE);
    assert_eq!(test.timer(true), Action::Attempt);
}

#[test]
fn nodes_that_are_unavailable_are_asked_at_the_next_poll() {
    let mut test = Test::new();
    test.on(Event::Joined { may_act: true });
    test.free(true, 0);
    let poll = test.course.polls.due();
    assert_eq!(test.on(failed(Found::NoQuorum, false, true)), Action::Wait);
    assert_eq!(test.course.due(), poll);
    assert_eq!(test.timer(true), Action::Attempt);
}

#[test]
fn without_wake_ups_it_waits_for_the_holders_expiry_or_stays_back_after_a_release() {
    let mut test = Test::new();
    test.on(Event::Joined { may_act: true });
    let start = test.now;
    assert_eq!(test.on(Event::Blind { stay: MS }), Action::Wait);
    assert_eq!(test.course.due(), start + test.options.timing.expiry());
    assert!(!test.course.state().is_searching());
    test.on(notified(None));
    assert_eq!(test.on(Event::Blind { stay: MS }), Action::Wait);
    assert_eq!(test.course.due(), start + MS);
    assert!(test.course.state().is_searching());
    assert_eq!(test.timer(true), Action::Attempt);
}

#[test]
fn a_waiter_attempts_where_the_nodes_cannot_answer_a_check() {
    for stay_back in [None, Some(MS)] {
        let mut test = Test::new();
        test.on(Event::Joined { may_act: false });
        let released = test.on(Event::Notified {
            stay_back: stay_back.map(Stay::For),
            can_watch: false,
        });
        let next = if stay_back.is_some() {
            test.timer(true)
        } else {
            released
        };
        assert_eq!(next, Action::Attempt);
    }
}

#[test]
fn an_open_name_is_left_to_others_until_one_has_come() {
    let mut test = Test::new();
    test.on(Event::Joined { may_act: false });
    let open = Event::Notified {
        stay_back: Some(Stay::Open(2 * POLL)),
        can_watch: true,
    };
    let start = test.now;
    assert_eq!(test.on(open), Action::WatchAcquired);
    assert!(test.course.state().is_open() && test.course.state().is_watching());
    // A poll is not an attempt.
    assert_eq!(test.timer(true), Action::Wait);
    assert_eq!(test.now - start, POLL);
    assert_eq!(test.on(Event::Blind { stay: MS }), Action::Wait);
    assert!(test.course.state().is_open());
    assert_eq!(test.on(Event::Visited), Action::Watch);
    // That the visitor holds it is not news.
    test.now += 2 * MS;
    assert_eq!(test.course.state().sign(true, test.now), None);
    assert_eq!(test.free(true, 0), Action::Attempt);
}

#[test]
fn a_name_that_may_have_been_released_here_is_opened_too() {
    let mut test = Test::new();
    test.on(Event::Joined { may_act: true });
    assert!(test.course.state().has_failed());
    let free = Event::Free(Free {
        has_changed: true,
        checks: 0,
        pauses: true,
        opening: Some(MS),
        may_act: true,
    });
    assert_eq!(test.on(free), Action::WatchAcquired);
    assert_eq!(test.course.due(), test.now + MS);
}

#[test]
fn an_open_name_to_which_nobody_came_is_taken_when_the_time_is_over() {
    let mut test = Test::new();
    test.on(Event::Joined { may_act: false });
    let open = |can_watch| Event::Notified {
        stay_back: Some(Stay::Open(MS)),
        can_watch,
    };
    let start = test.now;
    test.on(open(true));
    assert_eq!(test.timer(true), Action::Watch);
    assert_eq!(test.now - start, MS);
    assert_eq!(test.free(false, 0), Action::Attempt);
    test.fail(false);
    // Nobody could be seen to come.
    assert_eq!(test.on(open(false)), Action::Attempt);
}

#[test]
fn the_last_poll_is_an_attempt_though_the_name_is_open() {
    let mut test = Test::new();
    test.on(Event::Joined { may_act: false });
    let open = Event::Notified {
        stay_back: Some(Stay::Open(20 * POLL)),
        can_watch: true,
    };
    test.on(open);
    for _ in 2..9 {
        assert_eq!(test.timer(true), Action::Wait);
    }
    assert_eq!(test.timer(true), Action::Attempt);
    assert_eq!(test.fail(false), Action::Fail);
}

#[test]
fn nodes_that_contradict_attempts_are_asked_less_and_less_often() {
    let mut test = Test::new();
    let start = test.now;
    let mut next = test.on(Event::Joined { may_act: true });
    let mut attempts = 0;
    while test.now < start + 2000 * MS {
        while next == Action::Watch {
            next = test.free(false, 0);
        }
        if next == Action::Wait {
            next = test.timer(true);
        }
        assert_eq!(next, Action::Attempt);
        attempts += 1;
        next = test.fail(false);
    }
    assert!((10..30).contains(&attempts), "{attempts}");
    // A change is believed.
    assert_eq!(test.free(true, 0), Action::Attempt);
    test.fail(false);
    assert_eq!(test.free(false, 0), Action::Attempt);
}

#[test]
fn only_polls_count_as_attempts() {
    let mut test = Test::new();
    let mut next = test.on(Event::Joined { may_act: true });
    for _ in 0..50 {
        // After some failures, it checks first, and later it pauses.
        while next == Action::Watch {
            next = test.free(false, 0);
        }
        if next == Action::Wait {
            next = test.timer(true);
        }
        assert_eq!(next, Action::Attempt);
        next = test.fail(false);
    }
    let mut attempts = 1;
    while next != Action::Fail {
        test.now = test.course.polls.due();
        let timer = Event::Timer(Reliance {
            may_act: true,
            wakes: false,
            outages: 0,
        });
        assert_eq!(test.on(timer), Action::Attempt);
        attempts += 1;
        next = test.fail(false);
    }
    assert_eq!(attempts, 9);
}

#[test]
fn a_follower_makes_its_attempt_when_the_name_is_shared() {
    let mut test = Test::new();
    test.on(Event::Joined { may_act: false });
    assert_eq!(test.on(Event::Shared), Action::Attempt);
    assert_eq!(test.on(failed(Found::Taken, false, false)), Action::Wait);
    assert!(!test.course.state().is_watching());
}
