//! What passes between the command and its surroundings.

use std::{
    fs::{self, File},
    process::Stdio,
    time::{SystemTime, UNIX_EPOCH},
};

use redsync_tests::Servers;

use crate::support::{Running, ends, number, redsync, redsync_at};

#[test]
fn stdin_and_stdout_and_stderr_are_those_of_the_command() {
    let servers = Servers::start(1);
    let home = tempfile::tempdir().unwrap();
    let input = home.path().join("input");
    let bytes: Vec<u8> = (0..1_000_003_u32)
        .map(|it| (it.wrapping_mul(it) >> 3) as u8)
        .collect();
    fs::write(&input, &bytes).unwrap();

    let script = "echo to stderr >&2; exec cat";
    let command = redsync(&servers, &["run", "job", "--", "sh", "-c", script]);
    let stdin = Stdio::from(File::open(input).unwrap());
    let mut running = Running::start_with(command, stdin);
    redsync_tests::wait::until("the end", crate::support::SOON, || running.has_ended());
    assert!(fs::read(running.path("stdout")).unwrap() == bytes);
    assert_eq!(running.stderr(), "to stderr\n");
}

#[test]
fn arguments_are_passed_as_they_are() {
    let servers = Servers::start(1);
    let script = r#"for it in "$@"; do echo "<$it>"; done"#;
    let run = ["run", "job", "--", "sh", "-c", script, "sh"];
    let arguments = ["--wait", "a b", "", "--", "-x", "$HOME"];
    let ended = ends(&servers, &[&run[..], &arguments].concat());
    assert_eq!(ended.stdout, "<--wait>\n<a b>\n<>\n<-->\n<-x>\n<$HOME>\n");
}

#[test]
fn the_environment_has_the_name_and_a_growing_token_and_the_end_of_the_validity() {
    let servers = Servers::start(3);
    let run = ["run", "--expiry", "30s", "job", "--", "env"];
    let tokens: Vec<u64> = (0..3)
        .map(|_| {
            let output = ends(&servers, &run).stdout;
            assert!(output.contains("REDSYNC_NAME=job\n"), "{output}");
            let until: u64 = number(&output, "REDSYNC_UNTIL=");
            let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            let left = until.checked_sub(now.as_secs());
            assert!(left.is_some_and(|left| left <= 30), "{output}");
            number(&output, "REDSYNC_FENCING_TOKEN=")
        })
        .collect();
    assert!(tokens.is_sorted_by(|one, next| one < next), "{tokens:?}");
}

#[test]
fn a_lock_without_a_token_does_not_pass_on_that_of_another() {
    let servers = Servers::start(1);
    let mut command = redsync(&servers, &["run", "--no-fencing", "job", "--", "env"]);
    command.env("REDSYNC_FENCING_TOKEN", "17");
    let output = Running::start(command).ended().stdout;
    assert!(!output.contains("REDSYNC_FENCING_TOKEN"), "{output}");
}

#[test]
fn passwords_are_not_printed() {
    let servers = Servers::start_with(1, &["--requirepass", "right"]);
    let url = format!("redis://me:secret@{}", servers[0].address());
    for arguments in [
        &["run", "-n", "--verbose", "job", "--", "true"][..],
        &["run", "-n", "--node", &url, "job", "--", "true"],
        &["inspect", "job"],
        &["inspect", "--json", "job"],
        &["release", "--force", "--yes", "job"],
        &["inspect", "--help"],
        &["inspect", "--urls", &url],
        &["inspect", "--permits", &url, "job"],
        &["inspect", &format!("--permits={url}"), "job"],
        &["inspect", &format!("-p{url}"), "job"],
        &["inspect", &format!("--nodes={url}")],
        &["inspect", "--node", "redis://me:secret@[", "job"],
        &["inspect", "--node", "me:secret@10.0.0.1", "job"],
        &["inspect", "--node", "unix:///a?db=x&pass=@secret", "job"],
    ] {
        let ended = Running::start(redsync_at(&url, arguments)).ended();
        let output = format!("{}{}", ended.stdout, ended.stderr);
        assert!(!output.is_empty(), "{arguments:?}");
        assert!(!output.contains("secret"), "{arguments:?}: {output}");
    }
}

#[test]
fn nothing_is_printed_but_by_the_command() {
    let servers = Servers::start(3);
    servers[0].kill();
    let ended = ends(&servers, &["run", "job", "--", "echo", "done"]);
    assert_eq!((&*ended.stdout, &*ended.stderr), ("done\n", ""));
    let ended = ends(&servers, &["run", "--verbose", "job", "--", "echo", "done"]);
    assert_eq!(ended.stdout, "done\n");
    assert!(ended.stderr.contains(&servers[0].address()), "{ended:?}");
}
