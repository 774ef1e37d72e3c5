//! The explorations. With the optimization that this workspace asks for, they take a minute, and the
//! long forms some minutes more, so they run only if they are asked for, as by `./tests/run`.

use std::time::Instant;

use stateright::{Checker, HasDiscoveries, Model};

use super::{
    flaw::Flaw,
    properties::{AGAIN, ALL, CLEANED, EXCLUSION, LOST, MILESTONE, TOKENS},
    setting::{Budget, Reached, Setting},
    world::World,
};
use crate::{
    Mode::{Exclusive, Shared},
    fence::STRIDE,
};

/// How many threads explore.
const THREADS: usize = 2;

/// After how many states a flaw counts as not found. Each shows after at most a third of them.
const MOST_STATES: usize = 10_000_000;

const NOTHING: Budget = Budget {
    extensions: 0,
    hand_overs: 0,
    ticks: 0,
    expiries: 0,
    ticks_ahead: 0,
    duplicates: 0,
    losses: 0,
    crashes: 0,
    time_outs: None,
    give_ups: 0,
};

/// Explores all that can happen in a setting, and prints how much that is.
#[track_caller]
fn explore(title: &str, setting: Setting) {
    let begun = Instant::now();
    // Depth first, because that keeps few states in memory.
    let checker = setting.checker().threads(THREADS).spawn_dfs().join();
    println!(
        "{title}: {} states, {} of them distinct, {:.1} s",
        checker.state_count(),
        checker.unique_state_count(),
        begun.elapsed().as_secs_f64()
    );
    checker.assert_properties();
}

/// Explores up to a milestone, from where the next exploration starts. So a flaw that shows after
/// many steps is found, though not all that could happen instead is explored.
fn reach(milestone: fn(&World) -> bool, setting: &Setting) -> Setting {
    let setting = Setting {
        milestone: Some(milestone),
        ..setting.clone()
    };
    let checker = setting.clone().checker().spawn_bfs().join();
    let path = checker
        .discovery(MILESTONE)
        .expect("the milestone is reached");
    Setting {
        milestone: None,
        start: Some(Box::new(path.last_state().clone())),
        ..setting
    }
}

/// Explores until the planted flaw breaks this property. It may break another one earlier, or not,
/// as the threads explore in no certain order.
#[track_caller]
fn find(flaw: Flaw, broken: &'static str, setting: Setting) {
    let begun = Instant::now();
    let checker = setting.with_flaw(flaw).checker().threads(THREADS);
    let checker = checker
        .finish_when(HasDiscoveries::AnyOf([broken].into()))
        .target_state_count(MOST_STATES)
        .spawn_bfs()
        .join();
    let path = checker.discovery(broken).expect("the flaw is not found");
    println!(
        "{flaw:?}: found in {} steps, after {} states, {:.1} s",
        path.into_actions().len(),
        checker.unique_state_count(),
        begun.elapsed().as_secs_f64(),
    );
}

macro_rules! explorations {
    ($($name:ident => $what:expr;)*) => {$(
        #[test]
        #[ignore = "explores for long"]
        fn $name() {
            $what
        }
    )*};
}

mod holds {
    use super::*;

    explorations! {
        tokens_while_a_key_expires_early => explore(
            "tokens, while a key expires early",
            Setting::of(Budget { expiries: 1, ..NOTHING }).fenced(),
        );
        tokens_while_a_command_is_carried_out_twice => explore(
            "tokens, while a command is carried out twice",
            Setting::of(Budget { duplicates: 1, ..NOTHING }).fenced(),
        );
        tokens_while_a_node_loses_its_data => explore(
            "tokens, while a node loses its data",
            Setting::of(Budget { losses: 1, ..NOTHING }).fenced(),
        );
        exclusion_while_a_clock_is_ahead => explore(
            "exclusion, while a clock is ahead",
            Setting::of(Budget { ticks: 2, ticks_ahead: 1, ..NOTHING }),
        );
        exclusion_while_a_node_loses_its_data => explore(
            "exclusion, while a node loses its data",
            Setting::of(Budget { ticks: 2, losses: 1, ..NOTHING }),
        );
        exclusion_while_a_node_crashes => explore(
            "exclusion, while a node crashes and keeps its data",
            Setting::of(Budget { ticks: 2, crashes: 1, ..NOTHING }),
        );
        tokens_while_a_node_crashes => explore(
            "tokens, while a node crashes and keeps its data",
            Setting::of(Budget { crashes: 1, ..NOTHING }).fenced(),
        );
        exclusion_of_a_writer_and_a_reader => explore(
            "exclusion of a writer and a reader",
            Setting::of(Budget { ticks: 2, ticks_ahead: 1, ..NOTHING }).with_modes([Exclusive, Shared]),
        );
        three_clients => explore(
            "exclusion and tokens of three clients",
            Setting::of(Budget { time_outs: Some(0), ..NOTHING }).fenced().with_attempts([1, 1, 1]),
        );
        three_clients_of_which_one_gives_up => explore(
            "exclusion and tokens of three clients, of which one gives up",
            Setting::of(Budget { time_outs: Some(1), ..NOTHING }).fenced().with_attempts([1, 1, 1]),
        );
        exclusion_of_three_clients => explore(
            "exclusion of three clients",
            Setting::of(Budget { ticks: 1, time_outs: Some(0), ..NOTHING }).with_attempts([1, 1, 1]),
        );
        two_readers_and_a_writer => explore(
            "exclusion of two readers and a writer",
            Setting::of(Budget { time_outs: Some(0), ..NOTHING })
                .with_modes([Shared, Shared, Exclusive]),
        );
        tokens_of_a_lock_that_is_handed_over_and_extended => explore(
            "tokens of a lock that is handed over and extended",
            Setting::of(Budget { hand_overs: 1, extensions: 1, ..NOTHING }).fenced(),
        );
        tokens_after_different_counters => explore(
            "tokens, after different counters",
            Setting::of(Budget { expiries: 1, ..NOTHING }).with_different_counters(),
        );
        tokens_at_the_end_of_a_stride => explore(
            "tokens, at the end of a stride",
            Setting::of(Budget { hand_overs: 2, time_outs: Some(0), ..NOTHING })
                .with_early_hand_overs(STRIDE - 2),
        );
        exclusion_while_an_extension_is_under_way => explore(
            "exclusion, while an extension is under way",
            reach(
                World::is_extending_a_lock,
                &Setting::of(Budget { ticks: 2, ticks_ahead: 1, extensions: 1, ..NOTHING }),
            ),
        );
        tokens_of_a_client_that_tries_twice => explore(
            "tokens of a client that tries twice",
            Setting::of(Budget { time_outs: Some(1), ..NOTHING }).fenced().with_attempts([2, 1]),
        );
        exclusion_of_a_client_that_tries_twice => explore(
            "exclusion of a client that tries twice",
            Setting::of(Budget { ticks: 1, give_ups: 1, ..NOTHING }).with_attempts([2, 1]),
        );
        exclusion_for_longer => explore(
            "exclusion for longer",
            Setting::of(Budget { ticks: 3, ticks_ahead: 1, ..NOTHING }),
        );
    }

    mod long_forms {
        use super::*;

        explorations! {
            exclusion_of_three_clients_while_a_clock_is_ahead => explore(
                "exclusion of three clients, while a clock is ahead",
                Setting::of(Budget { ticks: 2, ticks_ahead: 1, ..NOTHING }).with_attempts([1, 1, 1]),
            );
            exclusion_of_a_lock_that_is_extended => explore(
                "exclusion of a lock that is extended",
                Setting::of(Budget { ticks: 3, ticks_ahead: 1, extensions: 1, ..NOTHING }),
            );
            exclusion_of_a_lock_that_is_healed => explore(
                "exclusion of a lock that is healed",
                Setting::of(Budget { ticks: 2, extensions: 1, losses: 1, ..NOTHING }).healing(),
            );
        }
    }
}

mod finds {
    use super::*;

    explorations! {
        one_value_for_all_attempts => find(
            Flaw::OneValueForAllAttempts,
            EXCLUSION,
            Setting::of(Budget { ticks: 1, ..NOTHING }).with_attempts([2, 1]),
        );
        a_validity_from_the_reply => find(
            Flaw::ValidityFromTheReply,
            EXCLUSION,
            Setting::of(Budget { ticks: 2, ticks_ahead: 1, ..NOTHING }),
        );
        too_little_drift => find(
            Flaw::TooLittleDrift,
            EXCLUSION,
            Setting::of(Budget { ticks: 2, ticks_ahead: 1, ..NOTHING }),
        );
        an_extension_after_the_end => find(
            Flaw::ExtensionAfterTheEnd,
            LOST,
            Setting::of(Budget { ticks: 2, extensions: 1, ..NOTHING }).with_attempts([1]),
        );
        an_unclear_extension => find(
            Flaw::UnclearExtension,
            EXCLUSION,
            reach(
                World::is_extending_a_lock,
                &Setting::of(Budget { ticks: 2, ticks_ahead: 1, extensions: 1, ..NOTHING }),
            ),
        );
        an_instant_restart => find(
            Flaw::InstantRestart,
            EXCLUSION,
            Setting::of(Budget { ticks: 1, losses: 1, ..NOTHING }),
        );
        an_instant_restart_by_its_tokens => find(
            Flaw::InstantRestart,
            TOKENS,
            Setting::of(Budget { losses: 1, ..NOTHING }).fenced(),
        );
        a_largest_number_without_a_raise => find(
            Flaw::LargestNumber,
            TOKENS,
            Setting::of(Budget { expiries: 1, ..NOTHING }).with_different_counters(),
        );
        a_raise_without_the_key => find(
            Flaw::RaiseWithoutKey,
            TOKENS,
            Setting::of(Budget { expiries: 1, ..NOTHING }).with_different_counters(),
        );
        a_raise_of_at_least => find(
            Flaw::RaiseOfAtLeast,
            TOKENS,
            reach(
                World::raises_before_a_duplicate,
                &Setting::of(Budget { expiries: 1, duplicates: 1, ..NOTHING })
                    .with_different_counters(),
            ),
        );
        a_hand_over_without_a_token => find(
            Flaw::HandOverWithoutToken,
            TOKENS,
            Setting::of(Budget { hand_overs: 1, ..NOTHING }).fenced(),
        );
        a_hand_over_without_end => find(
            Flaw::HandOverWithoutEnd,
            TOKENS,
            Setting::of(Budget { hand_overs: 2, time_outs: Some(0), ..NOTHING })
                .with_early_hand_overs(STRIDE - 2),
        );
        a_release_that_does_not_wait => find(Flaw::ReleaseAhead, CLEANED, Setting::of(NOTHING));
        a_release_that_is_not_repeated => find(
            Flaw::ReleaseOnce,
            CLEANED,
            Setting::of(Budget { give_ups: 1, ..NOTHING }).with_attempts([1]),
        );
        a_command_that_is_forgotten => find(Flaw::ForgottenCommand, CLEANED, Setting::of(NOTHING));
        a_key_that_does_not_expire => find(
            Flaw::NoExpiry,
            AGAIN,
            Setting::of(Budget { duplicates: 2, ..NOTHING }).with_attempts([1]),
        );
        a_reader_beside_a_writer => find(
            Flaw::ReaderBesideWriter,
            EXCLUSION,
            Setting::of(Budget { ticks: 1, ..NOTHING }).with_modes([Exclusive, Shared]),
        );
        a_largest_number_of_three_clients => find(
            Flaw::LargestNumber,
            TOKENS,
            Setting::of(Budget { time_outs: Some(0), ..NOTHING }).fenced().with_attempts([1, 1, 1]),
        );
        a_release_without_the_key => find(
            Flaw::ReleaseWithoutOwner,
            EXCLUSION,
            reach(
                World::releases_for_another,
                &Setting::of(Budget { ticks: 1, give_ups: 1, ..NOTHING })
                    .with_attempts([1, 1, 1]),
            ),
        );
        a_release_of_all_readers => find(
            Flaw::ReleaseOfAllReaders,
            EXCLUSION,
            reach(
                World::has_two_holders,
                &Setting::of(Budget { ticks: 1, ..NOTHING })
                    .with_modes([Shared, Shared, Exclusive]),
            ),
        );
        merged_extensions => find(
            Flaw::MergedExtensions,
            EXCLUSION,
            reach(
                World::has_an_extension_on_one_node,
                &Setting::of(Budget { ticks: 2, ticks_ahead: 1, extensions: 2, ..NOTHING }),
            ),
        );
    }
}

/// What the reductions leave out makes no difference.
mod reductions {
    use std::collections::HashSet;

    use super::*;

    /// All that can be seen from outside in a setting, and the properties that it breaks.
    fn reached(title: &str, setting: Setting) -> (HashSet<(u64, bool)>, Vec<&'static str>) {
        let begun = Instant::now();
        let reached = Reached::default();
        let setting = Setting {
            reached: Some(Reached::clone(&reached)),
            ..setting
        };
        let checker = setting.checker().threads(THREADS).spawn_dfs().join();
        let mut broken: Vec<_> = (checker.discoveries().into_keys())
            .filter(|name| ALL.contains(name))
            .collect();
        broken.sort_unstable();
        let reached = std::mem::take(&mut *reached.lock().unwrap());
        println!(
            "{title}: {} states, {} of them distinct, {} seen from outside, {:.1} s",
            checker.state_count(),
            checker.unique_state_count(),
            reached.len(),
            begun.elapsed().as_secs_f64()
        );
        (reached, broken)
    }

    #[track_caller]
    fn agree(title: &str, setting: Setting) {
        let plain = setting.clone().plain();
        let (all, broken) = reached(&format!("{title}, one by one"), plain);
        let (found, found_broken) = reached(title, setting);
        assert!(broken.is_empty(), "{broken:?}");
        assert!(found_broken.is_empty(), "{found_broken:?}");
        assert!(
            found == all,
            "{} of {} are not found, {} are new",
            all.difference(&found).count(),
            all.len(),
            found.difference(&all).count()
        );
    }

    explorations! {
        two_clients => agree("two clients", Setting::of(Budget { time_outs: Some(1), ..NOTHING }));
        two_attempts => agree(
            "two attempts with tokens",
            Setting::of(Budget { time_outs: Some(1), ..NOTHING }).fenced().with_attempts([2]),
        );
        an_extension_and_a_crash => agree(
            "an extension and a crash",
            Setting::of(Budget { ticks: 1, extensions: 1, crashes: 1, ..NOTHING }).with_attempts([1]),
        );
        an_extension_that_comes_late => agree(
            "an extension that comes late",
            Setting::of(Budget {
                ticks: 2,
                ticks_ahead: 1,
                extensions: 1,
                time_outs: Some(0),
                ..NOTHING
            })
            .healing()
            .with_attempts([1]),
        );
        a_heal => agree(
            "a heal",
            Setting::of(Budget { ticks: 1, extensions: 1, losses: 1, ..NOTHING })
                .healing()
                .with_attempts([1]),
        );
        a_hand_over => agree(
            "a hand-over and an extension",
            Setting::of(Budget { extensions: 1, hand_overs: 1, ..NOTHING }).fenced().with_attempts([1]),
        );
        a_command_that_is_given_up => agree(
            "a command that is given up",
            Setting::of(Budget { ticks: 1, give_ups: 1, ..NOTHING }).with_attempts([1]),
        );
        a_command_that_is_carried_out_twice => agree(
            "a command that is carried out twice",
            Setting::of(Budget { expiries: 1, duplicates: 1, ..NOTHING })
                .with_different_counters()
                .with_attempts([1]),
        );
    }
}
