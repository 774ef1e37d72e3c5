//! Histories that are wrong on purpose, and right ones that are nearly wrong.

use std::{fs, sync::Arc, time::Duration};

use super::{Call, End, Event, Expected, KeyMode, Recorder, Rule, Verdict, Wants, What, check};

const EXPECTED: Expected = Expected {
    nodes: 3,
    expiry: Duration::from_millis(1000),
    idle: Duration::from_millis(500),
    wait: Duration::from_millis(5000),
    poller_wait: Duration::from_millis(9000),
    keep: Duration::from_millis(600),
    stale: Duration::from_millis(100),
    healed: Duration::from_millis(1250),
};

/// A history in milliseconds, whose calls all are for the key `a` unless a test says otherwise.
#[derive(Clone, Default)]
struct History(Vec<Event>);

const fn ms(millis: u64) -> u64 {
    millis * 1_000_000
}

const fn call(process: u32, number: u64) -> Call {
    Call { process, number }
}

fn keys<const N: usize>(names: [&str; N]) -> Arc<[Arc<str>]> {
    names.map(Arc::from).into()
}

fn exclusive() -> Wants {
    Wants::Exclusive(keys(["a"]))
}

fn shared() -> Wants {
    Wants::Shared(keys(["a"]))
}

impl History {
    fn at(mut self, millis: u64, what: What) -> Self {
        let at = ms(millis);
        self.0.push(Event { at, what });
        self
    }

    fn waits(self, millis: u64, call: Call, wants: Wants) -> Self {
        self.at(millis, What::Waits { call, wants })
    }

    fn leaves(self, millis: u64, call: Call) -> Self {
        self.at(millis, What::Leaves { call })
    }

    fn granted(self, millis: u64, call: Call, until: u64, token: Option<u64>) -> Self {
        self.at(
            millis,
            What::Holds {
                call,
                until: ms(until),
                token,
                permit: None,
                resumes: None,
            },
        )
    }

    fn ends(self, millis: u64, call: Call, until: u64, end: End) -> Self {
        let until = ms(until);
        self.at(millis, What::Ends { call, until, end })
    }

    /// A call that holds from one instant to another, and would have had some time left.
    fn holds(self, call: Call, wants: Wants, from: u64, to: u64) -> Self {
        (self.waits(from, call, wants))
            .granted(from, call, to + 10, None)
            .ends(to, call, to + 10, End::Released)
    }

    fn holds_with_token(self, call: Call, from: u64, to: u64, token: u64) -> Self {
        (self.waits(from, call, exclusive()))
            .granted(from, call, to + 10, Some(token))
            .ends(to, call, to + 10, End::Released)
    }

    fn kept(self, millis: u64, node: u32, owner: Call, until: u64) -> Self {
        self.key(millis, node, "a", owner, KeyMode::Exclusive, until)
    }

    fn key(
        self,
        millis: u64,
        node: u32,
        key: &str,
        owner: Call,
        mode: KeyMode,
        until: u64,
    ) -> Self {
        self.at(
            millis,
            What::Kept {
                node,
                key: key.into(),
                owner: Some(owner),
                mode,
                until: ms(until),
            },
        )
    }

    fn freed(self, millis: u64, node: u32, owner: Call) -> Self {
        self.at(
            millis,
            What::Freed {
                node,
                key: "a".into(),
                owner: Some(owner),
            },
        )
    }

    fn ill(self, millis: u64, node: u32) -> Self {
        self.at(millis, What::Ill { node })
    }

    fn well(self, millis: u64, node: u32) -> Self {
        self.at(millis, What::Well { node })
    }

    fn verdict(mut self) -> Verdict {
        self.0.sort_by_key(|event| event.at);
        check(&self.0, &EXPECTED)
    }

    #[track_caller]
    fn breaks_none(self) {
        assert_eq!(self.verdict().wrongs, []);
    }

    /// Breaks this rule, and no other.
    #[track_caller]
    fn breaks(self, rule: Rule) {
        let wrongs = self.verdict().wrongs;
        assert!(
            !wrongs.is_empty() && wrongs.iter().all(|wrong| wrong.rule == rule),
            "{wrongs:?}"
        );
    }
}

const A: Call = call(1, 1);
const B: Call = call(2, 1);
const C: Call = call(3, 1);

#[test]
fn two_that_hold_a_key_at_the_same_time_are_found() {
    let held = |from, to| {
        (History::default())
            .holds(A, exclusive(), 0, 20)
            .holds(B, exclusive(), from, to)
    };
    held(19, 30).breaks(Rule::Overlap);
    held(5, 10).breaks(Rule::Overlap);
    // In the moment of the other's.
    held(5, 5).breaks(Rule::Overlap);
    held(20, 30).breaks_none();
    held(20, 20).breaks_none();
    (History::default().holds(A, exclusive(), 0, 20))
        .holds(B, Wants::Exclusive(keys(["b"])), 5, 10)
        .breaks_none();
    // Not only neighbours.
    (History::default().holds(A, exclusive(), 0, 50))
        .holds(B, Wants::Exclusive(keys(["a", "b"])), 60, 70)
        .holds(C, Wants::Exclusive(keys(["b", "c"])), 69, 80)
        .breaks(Rule::Overlap);
}

#[test]
fn a_belief_ends_with_its_validity() {
    let history = |until| {
        (History::default().waits(0, A, exclusive()))
            .granted(0, A, until, None)
            .holds(B, exclusive(), 10, 20)
            .ends(30, A, until, End::Lost)
    };
    history(11).breaks(Rule::Overlap);
    history(10).breaks_none();
}

#[test]
fn nobody_may_come_between_a_grant_and_the_end_of_what_extensions_made_of_it() {
    let history = |until| {
        (History::default().waits(0, A, exclusive()))
            .granted(0, A, 10, None)
            .at(
                9,
                What::Extends {
                    call: A,
                    since: ms(8),
                    until: ms(until),
                },
            )
            .holds(B, exclusive(), 20, 25)
            .ends(40, A, until, End::Lost)
    };
    history(30).breaks(Rule::Overlap);
    history(20).breaks_none();
}

#[test]
fn shared_holders_exclude_exclusive_ones_only() {
    let history = || (History::default().holds(A, shared(), 0, 20)).holds(B, shared(), 5, 30);
    history().breaks_none();
    history().holds(C, exclusive(), 30, 40).breaks_none();
    history()
        .holds(C, exclusive(), 25, 26)
        .breaks(Rule::Overlap);
    (History::default().holds(A, exclusive(), 0, 20))
        .holds(B, shared(), 19, 30)
        .breaks(Rule::Overlap);
}

#[test]
fn more_holders_of_a_semaphore_than_permits_are_found() {
    let two = || Wants::Permit(keys(["a", "a:permit-2"]));
    let history = || {
        History::default()
            .holds(A, two(), 0, 20)
            .holds(B, two(), 10, 30)
    };
    history().breaks_none();
    history().holds(C, two(), 20, 40).breaks_none();
    history().holds(C, two(), 19, 40).breaks(Rule::Overlap);
}

#[test]
fn two_holders_of_the_same_permit_are_found() {
    let two = || Wants::Permit(keys(["a", "a:permit-2"]));
    let history = |permit: &str| {
        let hold = |history: History, call: Call, from, permit: &str| {
            (history.waits(from, call, two()))
                .at(
                    from,
                    What::Holds {
                        call,
                        until: ms(90),
                        token: None,
                        permit: Some(permit.into()),
                        resumes: None,
                    },
                )
                .ends(50, call, 90, End::Released)
        };
        hold(hold(History::default(), A, 0, "a"), B, 10, permit)
    };
    history("a").breaks(Rule::Overlap);
    history("a:permit-2").breaks_none();
}

/// A call that holds from 0 to 20, and whose key stays up to 50.
fn with_minimum(wants: Wants, end: End) -> History {
    (History::default().waits(0, A, wants))
        .granted(0, A, 100, None)
        .at(
            0,
            What::Minimum {
                call: A,
                until: ms(50),
            },
        )
        .ends(20, A, 100, end)
}

#[test]
fn a_grant_before_the_end_of_a_minimum_hold_is_found() {
    let next = |from| with_minimum(exclusive(), End::Released).holds(B, exclusive(), from, 90);
    next(49).breaks(Rule::Minimum);
    next(20).breaks(Rule::Minimum);
    next(50).breaks_none();
    next(19).breaks(Rule::Overlap);
    // Not the next one, and not the first key.
    (with_minimum(exclusive(), End::Released).holds(B, shared(), 60, 61))
        .holds(C, Wants::Exclusive(keys(["b", "a"])), 49, 55)
        .breaks(Rule::Minimum);
    (with_minimum(exclusive(), End::Released))
        .holds(B, Wants::Exclusive(keys(["b"])), 30, 40)
        .breaks_none();
    // A later holder with a shorter minimum changes nothing.
    (with_minimum(shared(), End::Released).holds(B, shared(), 21, 22))
        .holds(C, exclusive(), 49, 50)
        .breaks(Rule::Minimum);
}

#[test]
fn in_a_minimum_hold_shared_holders_keep_only_exclusive_ones_out() {
    let next = |wants| with_minimum(shared(), End::Released).holds(B, wants, 30, 40);
    next(shared()).breaks_none();
    next(exclusive()).breaks(Rule::Minimum);
    (with_minimum(exclusive(), End::Released).holds(B, shared(), 30, 40)).breaks(Rule::Minimum);
}

#[test]
fn a_lock_that_was_left_belongs_to_whoever_resumes_it() {
    with_minimum(exclusive(), End::Left)
        .holds(B, exclusive(), 30, 40)
        .breaks_none();
    // Its process was killed: nobody can.
    (History::default().waits(0, A, exclusive()))
        .granted(0, A, 100, None)
        .at(
            0,
            What::Minimum {
                call: A,
                until: ms(50),
            },
        )
        .at(20, What::Killed { process: 1 })
        .holds(B, exclusive(), 30, 40)
        .breaks(Rule::Minimum);
}

#[test]
fn a_key_that_outlives_the_minimum_hold_of_its_holder_is_found() {
    let history = |until| {
        let held = (0..3).fold(with_minimum(exclusive(), End::Released), |history, node| {
            history.kept(0, node, A, 1000).freed(21, node, A)
        });
        // From the release to the end of the minimum.
        let kept = (0..3).fold(held, |history, node| history.kept(21, node, A, 55));
        kept.kept(30, 1, A, until)
            .at(900, What::Stops { process: 9 })
    };
    history(150).breaks_none();
    history(151).breaks(Rule::StaleKey);
}

#[test]
fn tokens_that_are_not_unique_or_do_not_grow_are_found() {
    let history =
        |token| (History::default().holds_with_token(A, 0, 5, 64)).holds_with_token(B, 5, 9, token);
    history(65).breaks_none();
    history(64).breaks(Rule::Token);
    history(63).breaks(Rule::Token);
    // They are compared for each key, and not only with the last.
    (History::default().holds_with_token(A, 0, 5, 64))
        .holds_with_token(B, 5, 9, 128)
        .holds_with_token(C, 9, 12, 65)
        .breaks(Rule::Token);
}

#[test]
fn a_lock_that_is_taken_over_keeps_its_token() {
    let history = |resumes| {
        (History::default().waits(0, A, exclusive()))
            .granted(0, A, 90, Some(64))
            .ends(5, A, 90, End::Left)
            .waits(6, B, exclusive())
            .at(
                7,
                What::Holds {
                    call: B,
                    until: ms(90),
                    token: Some(64),
                    permit: None,
                    resumes,
                },
            )
            .ends(9, B, 90, End::Released)
    };
    history(Some(A)).breaks_none();
    history(Some(C)).breaks(Rule::Token);
    history(None).breaks(Rule::Token);
}

#[test]
fn a_token_that_was_recorded_after_its_validity_need_not_be_the_largest() {
    let history = |until| {
        (History::default().holds_with_token(A, 10, 15, 128))
            .waits(0, B, exclusive())
            .granted(20, B, until, Some(64))
            .ends(25, B, until, End::Lost)
    };
    history(9).breaks_none();
    history(21).breaks(Rule::Token);
}

#[test]
fn an_extension_that_began_after_the_end_is_found() {
    let history = |since| {
        (History::default().waits(0, A, exclusive()))
            .granted(0, A, 10, None)
            .at(
                12,
                What::Extends {
                    call: A,
                    since: ms(since),
                    until: ms(30),
                },
            )
            .ends(20, A, 30, End::Released)
    };
    history(11).breaks(Rule::Revived);
    // It was recorded late.
    history(10).breaks_none();
}

/// A call that waits from 100 to 1000.
fn waiter(wants: Wants) -> History {
    (History::default().waits(100, B, wants)).leaves(1000, B)
}

#[test]
fn a_waiter_of_a_key_that_is_free_is_found() {
    waiter(exclusive()).breaks(Rule::IdleLock);
    // It is free on one node only, for a while, in the eyes of those who want it.
    let held = |freed| {
        (waiter(exclusive()).kept(0, 0, A, 2000))
            .kept(0, 1, A, 2000)
            .freed(freed, 1, A)
            .at(2000, What::Healed)
    };
    let only_idle = |history: History| {
        let wrongs = history.verdict().wrongs;
        wrongs
            .iter()
            .filter(|wrong| wrong.rule == Rule::IdleLock)
            .count()
    };
    assert_eq!(only_idle(held(499)), 1);
    assert_eq!(only_idle(held(500)), 0);
    assert_eq!(only_idle(held(1000)), 0);
    // An attempt of another has keys meanwhile.
    waiter(exclusive())
        .kept(590, 0, C, 610)
        .kept(590, 1, C, 610)
        .breaks_none();
    // Its key expires.
    waiter(exclusive())
        .kept(50, 0, C, 490)
        .kept(50, 1, C, 490)
        .breaks(Rule::IdleLock);
}

#[test]
fn a_waiter_waits_for_nodes_that_are_well() {
    let ill = |node, until| {
        waiter(exclusive())
            .ill(50, 0)
            .ill(60, node)
            .well(until, node)
    };
    ill(1, 600).breaks_none();
    ill(1, 400).breaks(Rule::IdleLock);
    // One of three.
    ill(0, 1000).breaks(Rule::IdleLock);
    // Faults of a node overlap.
    waiter(exclusive())
        .ill(50, 0)
        .ill(60, 1)
        .ill(70, 1)
        .well(300, 1)
        .well(700, 1)
        .breaks_none();
}

#[test]
fn a_waiter_of_several_keys_waits_for_all_of_them() {
    let both = Wants::Exclusive(keys(["a", "b"]));
    let held = |node| {
        let held = |history: History, node| history.key(0, node, "b", A, KeyMode::Exclusive, 2000);
        held(waiter(both.clone()), node)
    };
    held(0).breaks(Rule::IdleLock);
    // On different nodes.
    held(0).kept(0, 1, A, 2000).breaks_none();
}

#[test]
fn a_waiter_waits_for_those_of_its_process_that_share_a_key() {
    let held = |waiter: History| {
        let on = |history: History, node| history.key(0, node, "b", A, KeyMode::Exclusive, 2000);
        on(on(waiter, 0), 1)
    };
    let with = |process, wants: Wants| {
        let other = call(process, 9);
        held(waiter(exclusive()))
            .waits(150, other, wants)
            .leaves(1000, other)
    };
    let both = Wants::Exclusive(keys(["a", "b"]));
    with(2, both.clone()).breaks_none();
    with(3, both).breaks(Rule::IdleLock);
    with(2, Wants::Exclusive(keys(["b", "c"]))).breaks(Rule::IdleLock);
    // Not directly.
    with(2, Wants::Exclusive(keys(["b", "c"])))
        .waits(160, call(2, 10), Wants::Exclusive(keys(["a", "c"])))
        .leaves(1000, call(2, 10))
        .breaks_none();
}

#[test]
fn a_shared_waiter_waits_for_exclusive_holders_and_for_reservations() {
    let kept = |mode| {
        let on = |history: History, node| history.key(0, node, "a", A, mode, 2000);
        on(on(waiter(shared()), 0), 1)
    };
    kept(KeyMode::Exclusive).breaks_none();
    kept(KeyMode::Reserved).breaks_none();
    kept(KeyMode::Shared).breaks(Rule::IdleLock);
}

#[test]
fn a_waiter_of_a_permit_that_is_free_is_found() {
    let two = Wants::Permit(keys(["a", "a:permit-2"]));
    let held = |node| {
        let on = |history: History, node| {
            history.key(0, node, "a:permit-2", C, KeyMode::Exclusive, 2000)
        };
        let first = waiter(two.clone()).kept(0, 0, A, 2000).kept(0, 1, A, 2000);
        on(on(first, 1), node)
    };
    held(2).breaks_none();
    held(1).breaks(Rule::IdleLock);
}

#[test]
fn a_waiter_that_stands_still_is_not_served() {
    waiter(exclusive())
        .at(550, What::Stands { call: B })
        .at(560, What::Goes { call: B })
        .breaks_none();
    waiter(exclusive())
        .at(550, What::Stops { process: 2 })
        .at(560, What::Continues { process: 2 })
        .breaks_none();
    waiter(exclusive())
        .at(550, What::Stops { process: 1 })
        .at(560, What::Continues { process: 1 })
        .breaks(Rule::IdleLock);
}

#[test]
fn without_a_record_of_the_nodes_a_key_is_free_when_nobody_believes_in_it() {
    let history = |to, end| {
        (waiter(exclusive()).waits(0, A, exclusive()))
            .granted(0, A, 2000, None)
            .ends(to, A, 2000, end)
    };
    history(390, End::Released).breaks(Rule::IdleLock);
    history(400, End::Released).breaks_none();
    history(390, End::Left).breaks_none();
}

#[test]
fn a_wait_without_end_is_found() {
    // Somebody always has the key.
    let busy = |history: History| {
        (0..3).fold(history, |history, node| {
            history.kept(0, node, call(9, 1), 60_000)
        })
    };
    let waits = |until| busy(History::default().waits(0, A, exclusive()).leaves(until, A));
    waits(5001).breaks(Rule::EndlessWait);
    waits(5000).breaks_none();
    // It only polls.
    let polls = |until| waits(until).at(0, What::Polls { process: 1 });
    polls(9000).breaks_none();
    polls(9001).breaks(Rule::EndlessWait);
    // Up to the end of the history.
    let open = busy(History::default().waits(0, A, exclusive()));
    open.at(5001, What::Stops { process: 9 })
        .breaks(Rule::EndlessWait);
    // Most of the nodes were away.
    waits(6000)
        .ill(100, 0)
        .ill(100, 1)
        .well(1100, 1)
        .breaks_none();
    waits(6000)
        .ill(100, 0)
        .well(1100, 0)
        .breaks(Rule::EndlessWait);
    // It was killed.
    let killed = busy(History::default().waits(0, A, exclusive()));
    killed
        .at(4000, What::Killed { process: 1 })
        .at(9000, What::Stops { process: 9 })
        .breaks_none();
}

/// A guard that is kept alive, and is lost at 2000.
fn loser() -> History {
    (History::default().waits(0, A, exclusive()))
        .granted(0, A, 900, None)
        .at(10, What::Keeps { call: A })
        .ends(2000, A, 2000, End::Lost)
}

#[test]
fn a_guard_that_is_lost_although_nodes_were_well_is_found() {
    loser().breaks(Rule::LostGuard);
    loser().ill(1500, 0).well(1900, 0).breaks(Rule::LostGuard);
    let ill = |from| loser().ill(from, 0).ill(from, 1);
    ill(1599).breaks_none();
    ill(1600).breaks(Rule::LostGuard);
    // Of two nodes, nobody knows whether they have its keys, or whether the keeper reaches them again.
    let both = |from, to| loser().ill(from, 0).well(to, 0).ill(from, 1).well(to, 1);
    both(0, 5).breaks_none();
    both(1000, 1001).breaks_none();
    // One never had its keys, or has lost them, and another is away.
    let lacks = |from| (loser().at(1000, What::Lacks { call: A, node: 0 })).ill(from, 1);
    lacks(1599).breaks_none();
    lacks(1600).breaks(Rule::LostGuard);
    loser()
        .at(1000, What::Lacks { call: B, node: 0 })
        .ill(1000, 1)
        .breaks(Rule::LostGuard);
    // Its process stood still.
    loser()
        .at(1500, What::Stops { process: 1 })
        .at(1501, What::Continues { process: 1 })
        .breaks_none();
    // It was kept alive too late, or not at all.
    let kept = |at| {
        (History::default().waits(0, A, exclusive()))
            .granted(0, A, 900, None)
            .at(at, What::Keeps { call: A })
            .ends(900, A, 900, End::Lost)
    };
    kept(301).breaks_none();
    kept(300).breaks(Rule::LostGuard);
    (History::default().waits(0, A, exclusive()))
        .granted(0, A, 900, None)
        .ends(900, A, 900, End::Lost)
        .breaks_none();
}

#[test]
fn a_key_that_outlives_its_holder_is_found() {
    let history = |freed| {
        let held = History::default().holds(A, exclusive(), 200, 300);
        let kept = (0..3).fold(held, |history, node| history.kept(195, node, A, 1195));
        kept.freed(301, 0, A).freed(302, 1, A).freed(freed, 2, A)
    };
    history(400).breaks_none();
    history(401).breaks(Rule::StaleKey);
    // The release may be lost.
    history(1000).ill(290, 2).well(292, 2).breaks_none();
    history(1000)
        .ill(290, 1)
        .well(292, 1)
        .breaks(Rule::StaleKey);
}

#[test]
fn a_key_of_a_process_that_stands_or_is_killed_before_it_has_released_may_stay() {
    let history = |millis, what: What| {
        let held = History::default().holds(A, exclusive(), 200, 300);
        let kept = held.kept(195, 0, A, 1195).at(millis, what);
        kept.at(900, What::Polls { process: 9 })
    };
    let killed = |millis| history(millis, What::Killed { process: 1 });
    killed(301).breaks_none();
    killed(401).breaks(Rule::StaleKey);
    let stands = |millis, call| history(millis, What::Stands { call });
    stands(301, call(1, 2)).breaks_none();
    stands(301, B).breaks(Rule::StaleKey);
}

#[test]
fn a_guard_counts_only_nodes_that_have_its_keys() {
    // One of those with its keys is away, and the third node never had them.
    let history = |nodes: u32| {
        let kept = (0..nodes).fold(loser(), |history, node| history.kept(0, node, A, 2100));
        kept.ill(1200, 0)
    };
    history(2).breaks_none();
    history(3).breaks(Rule::LostGuard);
}

#[test]
fn a_key_that_a_call_leaves_without_a_lock_is_found() {
    let history = |freed| {
        (History::default().waits(200, A, exclusive()))
            .kept(210, 0, A, 1210)
            .leaves(300, A)
            .freed(freed, 0, A)
    };
    history(400).breaks_none();
    history(401).breaks(Rule::StaleKey);
}

#[test]
fn keys_that_are_left_to_expire_or_by_a_process_that_was_killed_may_stay() {
    let held = |node| {
        (History::default().waits(195, A, exclusive()))
            .granted(200, A, 1190, None)
            .kept(195, node, A, 1195)
    };
    let later = |history: History| history.at(400, What::Stops { process: 9 });
    later(held(0).ends(210, A, 1190, End::Left)).breaks_none();
    later(held(0).at(210, What::Killed { process: 1 })).breaks_none();
    later(held(0).ends(210, A, 1190, End::Released)).breaks(Rule::StaleKey);
}

#[test]
fn a_lock_that_is_handed_over_keeps_the_keys_of_its_first_holder() {
    let history = |heir: Call| {
        let first = History::default().holds(A, exclusive(), 200, 300);
        let kept = (0..3).fold(first, |history, node| history.kept(195, node, A, 1195));
        let second = kept.holds(heir, exclusive(), 300, 500);
        (0..3).fold(second, |history, node| history.freed(501, node, A))
    };
    let right = history(call(1, 2)).verdict();
    assert_eq!(right.wrongs, []);
    assert_eq!(right.figures.hand_overs, 1);
    history(B).breaks(Rule::StaleKey);
}

#[test]
fn a_key_that_cannot_be_had_after_healing_is_found() {
    let history = |from| {
        (History::default().holds(A, exclusive(), 0, 100))
            .at(200, What::Healed)
            .holds(B, exclusive(), from, from + 1)
    };
    history(1450).breaks_none();
    history(1451).breaks(Rule::NotHealed);
    history(150).breaks(Rule::NotHealed);
    // Every key.
    (history(1450).holds(C, Wants::Exclusive(keys(["a", "b"])), 100, 110)).breaks(Rule::NotHealed);
}

#[test]
fn a_record_that_cannot_be_is_refused() {
    (History::default().granted(5, A, 10, None)).breaks(Rule::Record);
    (History::default().holds(A, exclusive(), 0, 5).leaves(6, A)).breaks(Rule::Record);
    (History::default()
        .waits(0, A, exclusive())
        .waits(1, A, exclusive()))
    .breaks(Rule::Record);
    (History::default().waits(0, A, exclusive()))
        .ends(3, A, 5, End::Lost)
        .breaks(Rule::Record);
}

#[test]
fn figures_count_what_happened() {
    let figures = (History::default().holds(A, exclusive(), 0, 100))
        .waits(50, B, exclusive())
        .granted(110, B, 150, None)
        .ends(150, B, 150, End::Lost)
        .ill(60, 0)
        .well(70, 0)
        .verdict()
        .figures;
    assert_eq!((figures.calls, figures.grants, figures.lost), (2, 2, 1));
    assert_eq!((figures.faults, figures.hand_overs), (1, 0));
    assert_eq!(figures.span, Duration::from_millis(150));
    assert_eq!(figures.longest_wait, Duration::from_millis(60));
}

#[test]
fn files_of_several_processes_are_read_as_one_history() {
    let folder = tempfile::tempdir().unwrap();
    let paths = [folder.path().join("one"), folder.path().join("other")];
    let recorders = paths
        .each_ref()
        .map(|path| Recorder::to_file(path).unwrap());
    let history = History::default()
        .holds(A, exclusive(), 0, 5)
        .waits(6, B, Wants::Permit(keys(["a", "b"])))
        .kept(7, 1, B, 8)
        .at(9, What::Healed);
    for (number, event) in history.0.iter().enumerate() {
        recorders[number % 2].record(event.what.clone());
    }
    let read = Recorder::read(&paths).unwrap();
    let whats =
        |events: &[Event]| -> Vec<What> { events.iter().map(|event| event.what.clone()).collect() };
    assert_eq!(whats(&read), whats(&history.0));
    assert!(read.is_sorted_by_key(|event| event.at));

    // A process was killed while it wrote.
    let mut text = fs::read_to_string(&paths[0]).unwrap();
    text.truncate(text.len() - 5);
    fs::write(&paths[0], &text).unwrap();
    assert_eq!(Recorder::read(&paths).unwrap().len(), read.len() - 1);
    text.insert_str(0, "no event\n");
    fs::write(&paths[0], text).unwrap();
    Recorder::read(&paths).unwrap_err();
}
