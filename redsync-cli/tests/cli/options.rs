//! Kinds of locks.

use redsync_tests::Servers;

use crate::support::{ENDLESS, Running, ends};

#[test]
fn processes_run_one_at_a_time() {
    let servers = Servers::start(3);
    let home = tempfile::tempdir().unwrap();
    let counter = home.path().join("counter");
    std::fs::write(&counter, "0").unwrap();
    let path = counter.to_str().unwrap();
    // Without the lock, updates get lost between the reading and the writing.
    let script = r#"n=$(cat "$0"); sleep 0.01; echo $((n + 1)) >"$0""#;
    let running: Vec<_> = (0..12)
        .map(|_| {
            let run = ["run", "job", "--", "sh", "-c", script, path];
            Running::start(crate::support::redsync(&servers, &run))
        })
        .collect();
    for process in running {
        process.ended().assert_code(0);
    }
    assert_eq!(std::fs::read_to_string(counter).unwrap().trim(), "12");
    assert!(servers.holders("job").iter().all(Option::is_none));
}

#[test]
fn shared_holders_run_together_and_an_exclusive_one_does_not() {
    let servers = Servers::start(3);
    let _one = Running::begun(&servers, &["--shared", "job"], ENDLESS);
    ends(&servers, &["run", "-n", "--shared", "job", "--", "true"]).assert_code(0);
    ends(&servers, &["run", "-n", "job", "--", "true"]).assert_code(75);
}

#[test]
fn as_many_run_as_there_are_permits() {
    let servers = Servers::start(3);
    let two = ["--permits", "2", "job"];
    let _one = Running::begun(&servers, &two, ENDLESS);
    let _another = Running::begun(&servers, &two, ENDLESS);
    ends(
        &servers,
        &["run", "-n", "--permits", "2", "job", "--", "true"],
    )
    .assert_code(75);
    let shown = ends(&servers, &["inspect", "--permits", "2", "job"]).stdout;
    assert_eq!(shown.lines().count(), 2, "{shown}");
}

#[test]
fn several_names_are_locked_together() {
    let servers = Servers::start(3);
    let _both = Running::begun(&servers, &["b", "a"], ENDLESS);
    ends(&servers, &["run", "-n", "a", "--", "true"]).assert_code(75);
    ends(&servers, &["run", "-n", "b", "c", "--", "true"]).assert_code(75);
    let ended = ends(
        &servers,
        &["run", "d", "c", "--", "printenv", "REDSYNC_NAME"],
    );
    assert_eq!(ended.stdout, "d\nc\n");
}

#[test]
fn a_lock_with_a_minimum_hold_stays_when_the_command_has_ended() {
    let servers = Servers::start(3);
    ends(&servers, &["run", "--min-hold", "60s", "job", "--", "true"]).assert_code(0);
    ends(&servers, &["run", "-n", "job", "--", "true"]).assert_code(75);
}
