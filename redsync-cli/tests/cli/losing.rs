//! A lock that is lost while the command runs.

use std::time::Duration;

use nix::sys::signal::Signal;
use redsync_tests::Servers;

use crate::support::{ENDLESS, Running, ends, number, redsync, until_group_ended};

/// A script that says its process group, has a child, and cleans up when it is asked to end.
const FAMILY: &str = "trap 'echo cleaned; exit' TERM
    sh -c 'while :; do sleep 0.05; done' &
    echo group $$; echo begun; while :; do sleep 0.05; done";

/// As `FAMILY`, but neither of them ends when it is asked to.
const STUBBORN: &str = "trap '' TERM
    sh -c 'while :; do sleep 0.05; done' &
    echo group $$; echo begun; while :; do sleep 0.05; done";

const SHORT: [&str; 3] = ["--expiry", "500ms", "job"];

#[test]
fn the_command_is_stopped_with_its_children_when_the_nodes_are_killed() {
    let servers = Servers::start(3);
    let running = Running::begun(&servers, &SHORT, FAMILY);
    servers[0].kill();
    servers[1].kill();
    let ended = running.ended();
    ended.assert_code(79);
    assert!(ended.stdout.ends_with("cleaned\n"), "{ended:?}");
    assert!(ended.stderr.contains("`job` is lost"), "{ended:?}");
    until_group_ended(number(&ended.stdout, "group"));
}

/// Its stderr is closed if its terminal is, or if what reads it has ended.
#[test]
fn the_command_is_stopped_even_if_nobody_can_be_told() {
    // The shell would be ended by what it says about its child.
    let script = format!("exec 2> /dev/null; {FAMILY}");
    for option in ["--quiet", "--verbose"] {
        let servers = Servers::start(1);
        let arguments = [&["run", option][..], &SHORT, &["--", "sh", "-c", &script]].concat();
        let running = Running::start_unheard(redsync(&servers, &arguments));
        running.until_says("begun");
        servers[0].kill();
        let ended = running.ended();
        ended.assert_code(79);
        assert!(ended.stdout.ends_with("cleaned\n"), "{ended:?}");
    }
}

#[test]
fn one_of_three_nodes_may_be_killed() {
    let servers = Servers::start(3);
    let script = "echo begun; sleep 1.5; echo done";
    let running = Running::begun(&servers, &SHORT, script);
    servers[0].kill();
    let ended = running.ended();
    ended.assert_code(0);
    assert_eq!(ended.stdout, "begun\ndone\n");
}

#[test]
fn a_command_that_does_not_end_is_killed_with_its_children() {
    let servers = Servers::start(1);
    let options = ["--grace", "200ms", "--expiry", "500ms", "job"];
    let running = Running::begun(&servers, &options, STUBBORN);
    servers[0].kill();
    let ended = running.ended();
    ended.assert_code(79);
    until_group_ended(number(&ended.stdout, "group"));
}

/// Of any length: also of one that a clock does not reach.
#[test]
fn a_command_may_take_as_long_as_the_grace_to_end() {
    let servers = Servers::start(1);
    let script =
        "trap 'sleep 0.3; echo cleaned; exit' TERM; echo begun; while :; do sleep 0.05; done";
    for grace in ["60s", "10000000000000000000"] {
        let options = ["--grace", grace, "--expiry", "500ms", "job"];
        let running = Running::begun(&servers, &options, script);
        ends(&servers, &["release", "--force", "--yes", "job"]).assert_code(0);
        let ended = running.ended();
        ended.assert_code(79);
        assert!(ended.stdout.ends_with("cleaned\n"), "{ended:?}");
    }
}

#[test]
fn children_that_outlive_their_parent_are_killed_when_the_grace_is_over() {
    let servers = Servers::start(1);
    let script = "sh -c 'trap \"\" TERM; echo begun; while :; do sleep 0.05; done' &
        trap 'exit' TERM; echo group $$; while :; do sleep 0.05; done";
    let options = ["--grace", "300ms", "--expiry", "500ms", "job"];
    let running = Running::begun(&servers, &options, script);
    running.until_says("group");
    servers[0].kill();
    let ended = running.ended();
    ended.assert_code(79);
    until_group_ended(number(&ended.stdout, "group"));
}

#[test]
fn a_command_that_is_stopped_by_a_signal_is_ended_too() {
    let servers = Servers::start(1);
    let options = ["--grace", "60s", "--expiry", "500ms", "job"];
    let script = "echo group $$; kill -STOP $$; while :; do sleep 0.05; done";
    let mut arguments = vec!["run"];
    arguments.extend(options);
    arguments.extend(["--", "sh", "-c", script]);
    let running = Running::start(crate::support::redsync(&servers, &arguments));
    running.until_says("group");
    servers[0].kill();
    running.ended().assert_code(79);
}

#[test]
fn a_process_that_was_paused_beyond_the_expiry_stops_its_command() {
    let servers = Servers::start(3);
    let running = Running::begun(&servers, &SHORT, ENDLESS);
    running.stop();
    // Another holder proves that the lock has expired.
    let options = ["run", "--expiry", "60s", "job", "--", "echo", "mine"];
    assert_eq!(ends(&servers, &options).stdout, "mine\n");
    running.signal(Signal::SIGCONT);
    running.ended().assert_code(79);
}

#[test]
fn a_process_that_was_paused_for_less_than_the_expiry_goes_on() {
    let servers = Servers::start(1);
    let script = "echo begun; read line; echo done";
    let mut command = crate::support::redsync(&servers, &["run", "--expiry", "60s", "job"]);
    command.args(["--", "sh", "-c", script]);
    let (reader, writer) = std::io::pipe().unwrap();
    let running = Running::start_with(command, reader.into());
    running.until_says("begun");
    running.stop();
    std::thread::sleep(Duration::from_millis(300));
    running.signal(Signal::SIGCONT);
    drop(writer);
    running.ended().assert_code(0);
}

#[test]
fn a_lock_that_is_taken_by_force_stops_the_command() {
    let servers = Servers::start(3);
    let running = Running::begun(&servers, &["--expiry", "1s", "job"], ENDLESS);
    let released = ends(&servers, &["release", "--force", "--yes", "job"]);
    released.assert_code(0);
    assert!(released.stderr.contains("on 3 of 3 nodes"), "{released:?}");
    running.ended().assert_code(79);
}

#[test]
fn a_command_that_ends_by_itself_after_the_lock_was_taken_from_it_is_not_a_success() {
    let servers = Servers::start(3);
    // Nothing extends the lock before the command ends.
    let mut command = crate::support::redsync(&servers, &["run", "--expiry", "60s", "job"]);
    command.args(["--", "sh", "-c", "echo begun; read line; true"]);
    let (reader, writer) = std::io::pipe().unwrap();
    let running = Running::start_with(command, reader.into());
    running.until_says("begun");
    ends(&servers, &["release", "--force", "--yes", "job"]).assert_code(0);
    drop(writer);
    running.ended().assert_code(79);
}
