//! Exit codes.

use std::fs;

use redsync_tests::{Servers, wait::until};

use crate::support::{ENDLESS, PROGRAM, Running, SOON, ends, redsync, redsync_at};

#[test]
fn the_exit_code_of_the_command_is_passed_on() {
    let servers = Servers::start(1);
    for code in [0, 1, 7, 75, 255] {
        let script = format!("exit {code}");
        ends(&servers, &["run", "job", "--", "sh", "-c", &script]).assert_code(code);
    }
    for (signal, code) in [("KILL", 137), ("TERM", 143), ("USR1", 138)] {
        let script = format!("kill -{signal} $$");
        ends(&servers, &["run", "job", "--", "sh", "-c", &script]).assert_code(code);
    }
    assert_eq!(servers.holders("job"), [None]);
}

#[test]
fn a_command_that_cannot_be_executed_has_the_codes_of_a_shell_and_leaves_no_lock() {
    let servers = Servers::start(1);
    let missing = ends(&servers, &["run", "job", "--", "no-such-command"]);
    missing.assert_code(127);
    assert!(missing.stderr.contains("no-such-command"), "{missing:?}");
    ends(&servers, &["run", "job", "--", "/etc/passwd"]).assert_code(126);
    assert_eq!(servers.holders("job"), [None]);
}

#[test]
fn contention_has_a_code_that_the_user_can_choose() {
    let servers = Servers::start(3);
    let _holder = Running::begun(&servers, &["--label", "host-7", "job"], ENDLESS);
    let refused = ends(&servers, &["run", "--no-wait", "job", "--", "echo", "done"]);
    refused.assert_code(75);
    assert_eq!(refused.stdout, "", "the command has not run");
    assert!(refused.stderr.contains("another holder has `job`"));
    let late = ends(&servers, &["run", "--wait", "200ms", "job", "--", "true"]);
    late.assert_code(75);
    for refused in [refused, late] {
        let says_who = refused.stderr.contains("\n`job` is held by host-7 (");
        assert!(says_who, "{refused:?}");
    }
    let run = ["run", "-n", "-E", "0", "job", "--", "echo", "ran"];
    let silent = ends(&servers, &run);
    silent.assert_code(0);
    // A line would be a mail of cron.
    assert_eq!((&*silent.stdout, &*silent.stderr), ("", ""));
}

#[test]
fn a_node_that_is_missing_or_has_no_scheme_is_refused_with_what_is_needed() {
    for (nodes, needed) in [
        ("", "the environment variable REDSYNC_NODES"),
        ("10.0.0.1:6379", "redis://"),
        ("redis://10.0.0.1,,redis://10.0.0.3", "redis://"),
    ] {
        for arguments in [&["run", "job", "--", "true"][..], &["inspect", "job"]] {
            let ended = Running::start(redsync_at(nodes, arguments)).ended();
            ended.assert_code(64);
            assert!(ended.stderr.contains(needed), "{ended:?}");
        }
    }
}

#[test]
fn an_outage_and_a_key_that_is_not_a_lock_and_wrong_arguments_have_codes_of_their_own() {
    let servers = Servers::start(3);
    servers[0].command(&["SET", "job", "no lock"]);
    servers[1].command(&["SET", "job", "no lock"]);
    ends(&servers, &["run", "job", "--", "true"]).assert_code(65);

    servers[0].kill();
    servers[1].kill();
    ends(&servers, &["run", "-n", "job", "--", "true"]).assert_code(69);
    ends(&servers, &["inspect", "job"]).assert_code(69);
    ends(&servers, &["release", "--force", "--yes", "job"]).assert_code(69);

    for wrong in [
        &["run", "job"][..],
        &["run", "--", "true"],
        &["run", "--wait", "soon", "job", "--", "true"],
        &["run", "--wait", "1", "--no-wait", "job", "--", "true"],
        &["run", "--shared", "--permits", "2", "job", "--", "true"],
        &["run", "--expiry", "1ms", "job", "--", "true"],
        &["run", "--permits", "100", "job", "--", "true"],
        &["run", "", "--", "true"],
        &["release", "job"],
        &["inspect"],
        &["no-such-action"],
    ] {
        let refused = ends(&servers, wrong);
        assert_eq!(refused.code(), 64, "{wrong:?}: {refused:?}");
        assert!(!refused.stderr.is_empty());
    }
    let url = Running::start(redsync_at("http://10.0.0.1", &["inspect", "job"])).ended();
    url.assert_code(64);
}

#[test]
fn a_wait_says_when_an_outage_begins_and_when_it_is_over() {
    let servers = Servers::start(3);
    let holder = Running::begun(&servers, &["job"], ENDLESS);
    let wait = |options: &[&str]| {
        let mut arguments = vec!["run", "--node-timeout", "1s"];
        arguments.extend(options);
        arguments.extend(["job", "--", "true"]);
        Running::start(redsync(&servers, &arguments))
    };
    let (speaks, quiet) = (wait(&[]), wait(&["--quiet"]));
    servers[0].stop();
    servers[1].stop();
    until("a word about the outage", SOON, || {
        speaks.stderr().contains("too few nodes answer")
    });
    servers[0].cont();
    servers[1].cont();
    until("a word about its end", SOON, || {
        speaks.stderr().contains("enough nodes answer again")
    });
    drop(holder);
    let (spoken, quiet) = (speaks.ended(), quiet.ended());
    for ended in [&spoken, &quiet] {
        ended.assert_code(0);
    }
    let lines: Vec<_> = spoken.stderr.lines().collect();
    let [begin, end] = &lines[..] else {
        panic!("two lines: {lines:?}");
    };
    assert!(begin.contains(&servers[1].address()), "{begin}");
    assert_eq!(*end, "redsync: enough nodes answer again");
    assert_eq!(quiet.stderr, "");
}

#[test]
fn waiting_ends_in_an_outage() {
    let servers = Servers::start(1);
    servers[0].kill();
    ends(&servers, &["run", "job", "--", "true"]).assert_code(69);
}

#[test]
fn the_help_and_the_readme_list_the_exit_codes() {
    let help = std::process::Command::new(PROGRAM).arg("--help").output();
    let help = String::from_utf8(help.unwrap().stdout).unwrap();
    let (_, codes) = help.split_once("Exit codes:\n").unwrap();
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap();
    let mut listed = 0;
    for line in codes.lines() {
        let (code, meaning) = line.trim().split_once("  ").unwrap();
        let row = format!("| {code} | {meaning}");
        assert!(readme.contains(&row), "{row}");
        listed += 1;
    }
    assert_eq!(listed, 10);
}
