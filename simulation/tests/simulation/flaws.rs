//! Mistakes that are planted around the crate. Each of them has to be found, by the rule that it breaks.

use std::time::Duration;

use redsync_simulation::{Flaw, Setting, run};

/// How long the first run lasts, which finds most flaws, and how long the others do.
const FIRST: Duration = Duration::from_secs(240);
const OTHERS: Duration = Duration::from_secs(600);

fn assert_found(flaw: Flaw) {
    let found = (0..Flaw::MOST_RUNS).find_map(|seed| {
        let span = if seed == 0 { FIRST } else { OTHERS };
        let outcome = run(seed, &Setting::of(seed, span).with(flaw));
        let mut wrongs = outcome.wrongs.into_iter();
        Some((seed, wrongs.find(|wrong| wrong.rule == flaw.breaks())?))
    });
    let Some((seed, wrong)) = found else {
        panic!("{flaw:?} was not found")
    };
    println!("{flaw:?}: seed {seed} found that {wrong}");
}

macro_rules! found {
    ($($name:ident: $flaw:ident,)*) => {
        $(
            #[test]
            fn $name() {
                assert_found(Flaw::$flaw);
            }
        )*

        #[test]
        fn every_flaw_has_a_test() {
            let tested = [$(Flaw::$flaw),*];
            assert!(Flaw::ALL.iter().all(|flaw| tested.contains(flaw)));
        }
    };
}

found! {
    one_value_for_all_attempts_is_found: OneValueForAllAttempts,
    a_validity_that_counts_from_the_reply_is_found: ValidityFromTheReply,
    clocks_that_run_too_fast_are_found: FastClocks,
    an_extension_after_the_end_is_found: ExtensionAfterTheEnd,
    an_unclear_extension_that_counts_is_found: UnclearExtension,
    a_node_that_is_back_at_once_without_its_keys_is_found: InstantRestart,
    a_node_that_grants_everything_is_found: GrantsEverything,
    a_release_of_the_keys_of_others_is_found: ReleaseOfOthers,
    shared_holders_beside_an_exclusive_one_are_found: SharedBesideExclusive,
    a_token_that_is_only_the_largest_number_is_found: LargestNumber,
    tokens_of_the_clock_alone_are_found: TokensOfTheClock,
    a_hand_over_without_a_token_of_its_own_is_found: HandOverWithoutToken,
    lost_wake_ups_without_polls_are_found: LostWakeUps,
    a_released_permit_that_nobody_takes_is_found: UntakenPermit,
    a_keep_alive_that_gives_up_after_a_time_out_is_found: KeepAliveGivesUp,
    lost_releases_are_found: LostReleases,
    a_release_that_overtakes_the_acquisition_is_found: ReleaseAhead,
    an_answer_that_counts_in_another_round_is_found: AnswerOfAnotherRound,
    extensions_whose_rounds_are_merged_are_found: MergedExtensions,
    shared_holders_that_keep_an_exclusive_one_out_for_ever_are_found: NoReservation,
    keys_that_do_not_expire_are_found: NoExpiry,
    a_key_that_does_not_stay_for_the_minimum_hold_is_found: NoMinimum,
    an_extension_that_prolongs_a_minimum_hold_is_found: ProlongedMinimum,
}
