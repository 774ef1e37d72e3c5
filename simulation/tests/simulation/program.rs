//! The program `simulation`: what it does in its usual form, and what it refuses to do.

use std::process::{Command, Output};

fn simulation(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_simulation"));
    command.args(arguments).env_remove("SEED");
    command
}

/// Asserts that it fails at once, and says why.
#[track_caller]
fn assert_refused(arguments: &[&str], reason: &str) {
    let Output {
        status,
        stdout,
        stderr,
    } = simulation(arguments)
        .output()
        .expect("a program that starts");
    let stderr = String::from_utf8_lossy(&stderr);
    assert_eq!(status.code(), Some(1), "{arguments:?}");
    assert!(stderr.contains(reason), "{arguments:?}: {stderr}");
    assert!(stdout.is_empty(), "{arguments:?}");
}

/// `./tests/run` does this beside all other tests.
#[test]
#[ignore = "takes minutes"]
fn in_a_hundred_and_fifty_hours_every_rule_holds() {
    let status = simulation(&[]).status().expect("a program that starts");
    assert!(status.success(), "{status}");
}

#[test]
fn numbers_that_make_no_sense_are_refused() {
    for number in ["0", "0.5", "-1", "", "many"] {
        for name in ["--hours", "--threads"] {
            let reason = format!("{name} needs a whole number of at least 1, not {number}");
            assert_refused(&[name, number], &reason);
        }
    }
    assert_refused(&["--hours"], "--hours needs a number");
}

#[test]
fn unknown_arguments_are_refused() {
    assert_refused(&["--hour", "1"], "unknown argument --hour");
    assert_refused(&["--flaws", "1"], "unknown argument 1");
}
