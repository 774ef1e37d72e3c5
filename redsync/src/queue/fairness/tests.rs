use super::{
    constants::{
        CHANCE_EVERY, CHANCE_PART, OPEN_FOR, RELEARNED_AFTER, SHORTEST_STAY, UNVISITED, VISITOR_FOR,
    },
    openings::rest,
    *,
};

const TIME: Duration = Duration::from_millis(48);

/// The name is open for a tenth of the time.
const SHARE: f64 = 0.1;

#[test]
fn hand_overs_end_sooner_while_another_process_wants_the_name() {
    let mut fairness = Fairness::default();
    let now = Instant::now();
    assert_eq!(fairness.fair_hand_over_time(TIME, now), TIME);
    fairness.note(Sign::Held, now);
    assert_eq!(
        fairness.fair_hand_over_time(TIME, now),
        TIME / CONTENDED_PART
    );
    assert_eq!(fairness.fair_hand_over_time(TIME, now + WANTED_FOR), TIME);
}

#[test]
fn a_stay_to_which_nobody_came_is_followed_by_a_longer_one() {
    let mut fairness = Fairness::default();
    let now = Instant::now();
    fairness.note(Sign::Held, now);
    for stays in 0..4 {
        let stay = SHORTEST_STAY * (1 << stays);
        assert_eq!(fairness.stay_back(TIME, SHARE, now), Some(Stay::For(stay)));
        fairness.note(Sign::NobodyCame(stay), now);
    }
    // They are gone.
    assert_eq!(fairness.stay_back(TIME, SHARE, now + WANTED_FOR), None);
}

#[test]
fn a_stay_is_as_long_as_others_needed_to_come() {
    let mut fairness = Fairness::default();
    let mut now = Instant::now();
    fairness.note(Sign::Held, now);
    let far = Duration::from_millis(5);
    for _ in 0..20 {
        let Some(Stay::For(stay)) = fairness.stay_back(TIME, SHARE, now) else {
            panic!("it does not stay back");
        };
        if stay < far {
            fairness.note(Sign::NobodyCame(stay), now);
        } else {
            assert_eq!(stay, Duration::from_millis(8));
            fairness.note(Sign::Held, now);
        }
        now += WANTED_FOR / 10;
    }
}

#[test]
fn unknown_processes_are_given_a_chance_now_and_then() {
    let mut fairness = Fairness::default();
    let mut now = Instant::now();
    assert_eq!(fairness.stay_back(TIME, SHARE, now), None);
    for _ in 0..7 {
        assert_eq!(
            fairness.stay_back(TIME, SHARE, now + CHANCE_EVERY / 2),
            None
        );
        now += CHANCE_EVERY;
        let stay = Some(Stay::For(TIME / CHANCE_PART));
        assert_eq!(fairness.stay_back(TIME, SHARE, now), stay);
    }
}

/// Lets the name be released over and over, up to the next time that it is left open.
fn until_open(fairness: &mut Fairness, now: &mut Instant) {
    while !matches!(
        fairness.stay_back(TIME, SHARE, *now),
        Some(Stay::Open(OPEN_FOR))
    ) {
        fairness.acquired();
        *now += TIME;
    }
}

#[test]
fn the_name_is_open_now_and_then_and_sooner_again_after_a_visit() {
    let mut fairness = Fairness::default();
    let mut now = Instant::now();
    let start = now;
    until_open(&mut fairness, &mut now);
    let rest = rest(UNVISITED, SHARE);
    assert!(now - start >= rest && now - start < rest + 2 * TIME);
    // Nobody came.
    now += OPEN_FOR;
    fairness.acquired();
    let closed = now;
    until_open(&mut fairness, &mut now);
    assert!(now - closed >= rest && now - closed < rest + 2 * TIME);
    // Somebody does.
    now += OPEN_FOR / 2;
    fairness.note(Sign::Came, now);
    fairness.acquired();
    let visited = now;
    until_open(&mut fairness, &mut now);
    let rest = 9 * OPEN_FOR / 2;
    assert!(now - visited >= rest && now - visited < rest + 2 * TIME);
}

#[test]
fn the_name_is_open_for_the_share_of_the_time_that_the_options_say() {
    let second = Duration::from_secs(1);
    for (share, expected) in [(0.5, second), (0.25, 3 * second), (0.1, 9 * second)] {
        assert_eq!(rest(second, share), expected);
    }
    for open in [second, Duration::ZERO] {
        assert_eq!(rest(open, 0.0), Duration::MAX);
    }
    assert_eq!(rest(second, f64::MIN_POSITIVE), Duration::MAX);
    let mut never = Openings::default();
    let now = Instant::now();
    assert_eq!(never.left(0.0, now), None);
    assert_eq!(never.left(0.0, now + 1000 * second), None);
}

#[test]
fn a_client_that_misses_an_opening_finds_another_soon() {
    let mut openings = Openings::default();
    let mut now = Instant::now();
    let next = |openings: &mut Openings, now: &mut Instant| {
        let start = *now;
        while openings.left(SHARE, *now).is_none() {
            *now += TIME;
        }
        *now - start
    };
    next(&mut openings, &mut now);
    now += OPEN_FOR;
    openings.close();
    let unknown = next(&mut openings, &mut now);
    openings.visited(now + TIME);
    next(&mut openings, &mut now);
    now += OPEN_FOR;
    openings.close();
    let missed = next(&mut openings, &mut now);
    assert!(missed < unknown * 2 / 3, "{missed:?}, {unknown:?}");
}

#[test]
fn hand_overs_end_no_sooner_for_a_client_that_polls() {
    let mut fairness = Fairness::default();
    let mut now = Instant::now();
    until_open(&mut fairness, &mut now);
    fairness.note(Sign::Came, now);
    fairness.note(Sign::Held, now);
    assert_eq!(fairness.fair_hand_over_time(TIME, now), TIME);
    now += 2 * VISITOR_FOR;
    fairness.note(Sign::Held, now);
    assert!(fairness.fair_hand_over_time(TIME, now) < TIME);
}

#[test]
fn an_opening_ends_in_time_whoever_is_at_the_head() {
    let mut fairness = Fairness::default();
    let mut now = Instant::now();
    until_open(&mut fairness, &mut now);
    // The head leaves, and the next is notified.
    now += OPEN_FOR / 4;
    let left = Some(Stay::Open(OPEN_FOR * 3 / 4));
    assert_eq!(fairness.stay_back(TIME, SHARE, now), left);
    now += OPEN_FOR;
    let stay = fairness.stay_back(TIME, SHARE, now);
    assert!(!matches!(stay, Some(Stay::Open(_))), "{stay:?}");
}

#[test]
fn a_process_for_which_half_the_time_was_too_short_is_gone() {
    let mut fairness = Fairness::default();
    let now = Instant::now();
    fairness.note(Sign::Held, now);
    let mut stays = Duration::ZERO;
    while let Some(Stay::For(stay)) = fairness.stay_back(TIME, SHARE, now) {
        fairness.note(Sign::NobodyCame(stay), now);
        stays += stay;
    }
    assert!(stays <= 2 * TIME, "{stays:?}");
}

#[test]
fn a_process_that_has_waited_as_long_as_usual_lets_nobody_come_first() {
    let mut fairness = Fairness::default();
    let acquire_after = |fairness: &mut Fairness, changes| {
        let checks: Vec<_> = (0..changes).map(|_| fairness.changed_hands()).collect();
        fairness.acquired();
        checks
    };
    assert_eq!(acquire_after(&mut fairness, 5), [0; 5]);
    assert_eq!(acquire_after(&mut fairness, 3), [2, 1, 0]);
    // One process less.
    for _ in 0..RELEARNED_AFTER {
        assert_eq!(acquire_after(&mut fairness, 2), [2, 1]);
    }
    assert_eq!(acquire_after(&mut fairness, 2), [1, 0]);
}

#[test]
fn a_run_of_shared_holders_counts_as_one() {
    let mut fairness = Fairness::default();
    let three_changes = |fairness: &mut Fairness| [(); 3].map(|()| fairness.changed_hands());
    three_changes(&mut fairness);
    for _ in 0..2 * RELEARNED_AFTER {
        fairness.acquired_shared();
    }
    assert_eq!(three_changes(&mut fairness), [2, 1, 0]);
}

#[test]
fn a_process_that_cannot_see_others_stays_back_for_a_part_of_the_time() {
    let stays: Vec<_> = (0..200).map(|_| blind_stay(TIME)).collect();
    let longest = TIME / BLIND_PART;
    assert!(stays.iter().all(|stay| *stay < longest));
    // With 200 of them, some are close to the longest.
    assert!(stays.iter().any(|stay| *stay > longest / 2));
    let pauses: Vec<_> = (0..200).map(|_| pauses_after_division()).collect();
    assert!(pauses.contains(&true) && pauses.contains(&false));
}

#[test]
fn a_name_that_nodes_report_as_free_is_left_open_unless_others_want_it() {
    let mut fairness = Fairness::default();
    let now = Instant::now();
    assert_eq!(fairness.opening(SHARE, now), None);
    let later = now + rest(UNVISITED, SHARE);
    assert_eq!(fairness.opening(SHARE, later), Some(OPEN_FOR));
    fairness.note(Sign::Held, later);
    assert_eq!(fairness.opening(SHARE, later), None);
}
