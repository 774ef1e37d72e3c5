//! `redsync run` itself is killed.

use std::time::Instant;

use nix::sys::signal::Signal;
use redsync_tests::{Servers, wait::until};

use crate::support::{ENDLESS, Running, SOON, ends, number, redsync, until_free, until_held};

#[cfg(target_os = "linux")]
#[test]
fn the_command_is_killed_with_it_and_the_lock_expires() {
    let servers = Servers::start(3);
    let script = format!("echo group $$; {ENDLESS}");
    let running = Running::begun(&servers, &["--expiry", "1s", "job"], &script);
    let ended = running.kill();
    let pid: i32 = number(&ended.stdout, "group");
    until("the end of the command", SOON, || {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None).is_err()
    });
    ends(&servers, &["run", "--wait", "20s", "job", "--", "true"]).assert_code(0);
}

#[test]
fn the_lock_of_a_killed_process_is_kept_up_to_its_expiry() {
    let servers = Servers::start(3);
    let running = Running::begun(&servers, &["--expiry", "2s", "job"], ENDLESS);
    running.kill();
    let killed = Instant::now();
    let mut left: Vec<_> = servers.iter().map(|it| it.pttl("job")).collect();
    left.sort_unstable();
    ends(&servers, &["run", "job", "--", "true"]).assert_code(0);
    // A lock takes two of three servers, whose clocks may be read up to 1 ms apart.
    let waited = i64::try_from(killed.elapsed().as_millis()).unwrap();
    assert!(waited >= left[1] - 2, "{waited} ms of {left:?}");
}

#[test]
fn a_process_that_is_killed_while_it_waits_leaves_nothing() {
    let servers = Servers::start(3);
    let holder = Running::begun(&servers, &["--expiry", "60s", "job"], ENDLESS);
    let waiting = Running::start(redsync(&servers, &["run", "job", "--", "true"]));
    until("it is connected", SOON, || {
        let clients: String = servers[0].query(&["CLIENT", "LIST"]);
        // Each process has a connection for commands, and a waiter has one for wake-ups.
        clients.matches("name=redsync-cli").count() >= 3
    });
    waiting.kill();
    holder.signal(Signal::SIGTERM);
    holder.ended().assert_code(143);
    until_free(&servers, "job");
}

#[test]
fn a_process_that_is_killed_while_it_releases_leaves_what_expires() {
    let servers = Servers::start(3);
    let run = ["run", "--node-timeout", "2s", "--expiry", "2s", "job"];
    let mut command = redsync(&servers, &run);
    command.args(["--", "sh", "-c", "echo begun; read line; echo over"]);
    let (reader, writer) = std::io::pipe().unwrap();
    let running = Running::start_with(command, reader.into());
    running.until_says("begun");
    until_held(&servers, "job");
    servers.iter().for_each(|server| server.stop());
    drop(writer);
    running.until_says("over");
    running.kill();
    servers.iter().for_each(|server| server.cont());
    ends(&servers, &["run", "--wait", "20s", "job", "--", "true"]).assert_code(0);
}

#[test]
fn a_release_that_no_node_answers_does_not_delay_the_end() {
    let servers = Servers::start(3);
    let mut command = redsync(&servers, &["run", "--expiry", "60s", "job"]);
    command.args(["--", "sh", "-c", "echo begun; read line; exit 5"]);
    let (reader, writer) = std::io::pipe().unwrap();
    let running = Running::start_with(command, reader.into());
    running.until_says("begun");
    servers.iter().for_each(|server| server.stop());
    drop(writer);
    let ended = running.ended();
    servers.iter().for_each(|server| server.cont());
    ended.assert_code(5);
    assert!(
        ended.stderr.contains("may stay until it expires"),
        "{ended:?}"
    );
}
