//! Random operations, on which the memory node and a real server must agree.
//!
//! Each sequence starts with an empty server and a new memory node. After each operation, both have
//! to give the same answer, and to keep the same keys. Time passes at once: on tokio's paused clock
//! for the memory node, and on the server by a script that moves every expiry.
//!
//! `REDIS_SERVER` says which server is asked, `PROPTEST_CASES` how many sequences there are, and
//! `PROPTEST_RNG_SEED` repeats a run.

mod counting;
mod expected;
mod machine;
mod operation;
mod pair;
mod server_state;

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use counting::Counting;
use machine::Machine;
use pair::Pair;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use proptest_state_machine::ReferenceStateMachine;
use redsync_tests::RedisServer;
use tokio::runtime::Builder;

/// How many sequences there are, unless `PROPTEST_CASES` says otherwise.
const SEQUENCES: u32 = 2_000;

/// How many operations a sequence has.
const OPERATIONS: std::ops::RangeInclusive<usize> = 5..=30;

/// The server's own clock goes on during a sequence. The shortest time that matters is the half
/// second for which shared holders are kept out, so a sequence that takes nearly as long proves
/// nothing, and is replaced by another.
const TOO_LONG: Duration = Duration::from_millis(400);

#[test]
fn memory_and_redis_agree() {
    let server = RedisServer::start();
    let driver = Counting::new(&server);
    let runtime = Builder::new_current_thread().enable_all().build();
    let runtime = runtime.expect("a runtime");
    let operations = AtomicU64::new(0);
    let mut config = Config {
        failure_persistence: None,
        max_global_rejects: SEQUENCES,
        ..Config::default()
    };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = SEQUENCES;
    }
    let sequences = config.cases;
    let result = TestRunner::new(config).run(
        &Machine::sequential_strategy(OPERATIONS),
        |(mut state, transitions, seen)| {
            let mut pair = Pair::new(&server, &runtime, driver.clone());
            for transition in &transitions {
                if let Some(seen) = &seen {
                    seen.fetch_add(1, Ordering::SeqCst);
                }
                let compared = pair.step(&state, transition);
                state = Machine::apply(state, transition);
                let compared = compared.and_then(|()| pair.compare_keys(&state));
                if pair.is_slower_than(TOO_LONG) {
                    return Err(TestCaseError::reject("the sequence took too long"));
                }
                compared.map_err(TestCaseError::fail)?;
                operations.fetch_add(1, Ordering::Relaxed);
            }
            pair.compare_counters(&state).map_err(TestCaseError::fail)
        },
    );
    match result {
        Ok(()) => {}
        Err(TestError::Fail(reason, (_, transitions, _))) => {
            let steps = transitions.iter().map(|step| format!("\n  {step:?}"));
            panic!(
                "the nodes disagree after these steps:{}\n{reason}",
                steps.collect::<String>()
            );
        }
        Err(error) => panic!("{error}"),
    }
    println!("{sequences} sequences with {operations:?} operations agree; sent and answered:");
    driver.print();
    driver.assert_complete();
}
