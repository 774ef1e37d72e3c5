//! The example `cron`, end to end: instances that are killed, stopped, and whose clocks are wrong.

mod instances;

use redsync_tests::{Servers, program::SOON, wait::until_async};

use self::instances::{Instance, runs, start};

#[tokio::test]
async fn each_run_is_that_of_one_of_three_instances() {
    let servers = Servers::start(3);
    let instances = [0, 0, 0].map(|ahead| start(&servers, ahead, 600));
    until_runs(&instances, 3).await;
    // On a busy machine, one may be too late for a run.
    until_async("others stand back", SOON, async || {
        let stood_back = |instance: &Instance| instance.count("another instance runs it");
        instances.iter().map(stood_back).sum::<usize>() >= 4
    })
    .await;
    assert_each_run_began_once(&instances);
}

#[tokio::test]
async fn a_short_run_is_not_repeated_by_an_instance_whose_clock_is_behind() {
    let servers = Servers::start(3);
    let instances = [500, 0, 250].map(|ahead| start(&servers, ahead, 0));
    until_runs(&instances, 4).await;
    assert_each_run_began_once(&instances);
}

#[tokio::test]
async fn when_the_instance_that_runs_it_is_killed_another_has_the_next_run() {
    let servers = Servers::start(3);
    let mut instances = [0, 0, 0].map(|ahead| start(&servers, ahead, 60_000));
    let first = leader(&instances).await;
    instances[first].program.kill();
    until_runs(&instances, 2).await;
    assert_eq!(instances[first].began().len(), 1);
    assert_each_run_began_once(&instances);
    assert_tokens_grow(&instances);
}

#[tokio::test]
async fn an_instance_that_was_stopped_makes_no_further_step() {
    let servers = Servers::start(3);
    let instances = [0, 0, 0].map(|ahead| start(&servers, ahead, 60_000));
    let first = leader(&instances).await;
    let stopped = &instances[first];
    stopped.program.pause();
    let steps = stopped.count(": step ");
    until_runs(&instances, 2).await;
    stopped.program.resume();
    stopped
        .program
        .until_logged(1, &["stopped, because its lock is lost"])
        .await;
    assert_eq!(stopped.count(": step "), steps, "{}", stopped.program.log());
    assert_each_run_began_once(&instances);
    assert_tokens_grow(&instances);
}

#[tokio::test]
async fn an_instance_that_slept_through_the_time_of_a_run_skips_it() {
    let servers = Servers::start(3);
    let sleeper = start(&servers, 0, 0);
    sleeper.program.until_logged(1, &[": next"]).await;
    sleeper.program.pause();
    let other = start(&servers, 0, 0);
    until_async("a run is over", SOON, async || {
        other.count(": done") >= 2 && servers.holders("cron:report") == [None, None, None]
    })
    .await;
    sleeper.program.resume();
    sleeper.program.until_logged(1, &["too late for it"]).await;
    assert_each_run_began_once(&[sleeper, other]);
}

#[tokio::test]
async fn a_run_ends_when_too_few_nodes_answer() {
    let servers = Servers::start(3);
    let instances = [start(&servers, 0, 60_000)];
    leader(&instances).await;
    servers[0].kill();
    servers[1].kill();
    let program = &instances[0].program;
    program
        .until_logged(1, &["stopped, because its lock is lost"])
        .await;
    program.until_logged(1, &["ERROR", "not run here"]).await;
    servers[0].restart();
    until_runs(&instances, 2).await;
}

#[tokio::test]
async fn a_run_that_has_begun_is_finished_at_a_shutdown() {
    let servers = Servers::start(3);
    let mut instances = [start(&servers, 0, 2000)];
    leader(&instances).await;
    let program = &mut instances[0].program;
    program.terminate();
    assert_eq!(program.exit().code(), Some(0), "{}", program.log());
    assert_eq!(instances[0].count(": step "), 10);
    assert_eq!(instances[0].count(": done"), 1);
}

#[test]
fn a_minimum_that_is_longer_than_the_interval_is_refused() {
    let env = [("EVERY_MS", "1000"), ("CLOCKS_MS", "500")];
    let (status, log) = redsync_tests::Service::fails("cron", &env);
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("more than twice CLOCKS_MS"), "{log}");
}

/// Which of the instances is the first to run.
async fn leader(instances: &[Instance]) -> usize {
    let mut leader = None;
    until_async("it runs", SOON, async || {
        leader = (instances.iter()).position(|instance| instance.count(": step ") > 0);
        leader.is_some()
    })
    .await;
    leader.expect("just seen")
}

async fn until_runs(instances: &[Instance], count: usize) {
    let enough = async || runs(instances).len() >= count;
    until_async(&format!("{count} runs"), SOON, enough).await;
}

fn assert_each_run_began_once(instances: &[Instance]) {
    let runs = runs(instances);
    let numbers: std::collections::BTreeSet<_> = runs.iter().collect();
    assert_eq!(runs.len(), numbers.len(), "{runs:?}");
}

/// A later run has a larger token.
fn assert_tokens_grow(instances: &[Instance]) {
    let mut tokens: Vec<_> = instances.iter().flat_map(Instance::tokens).collect();
    tokens.sort_unstable();
    assert!(tokens.is_sorted_by(|(_, a), (_, b)| a <= b), "{tokens:?}");
}
