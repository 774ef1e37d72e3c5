//! Signals that are passed on.

use nix::sys::signal::Signal;
use redsync_tests::{Servers, wait::until};

use crate::support::{ENDLESS, PROGRAM, Running, SOON, redsync, until_free, until_held};

#[test]
fn the_command_gets_each_signal_once() {
    let servers = Servers::start(1);
    let script = "for it in HUP INT QUIT USR1 USR2 TERM; do trap \"echo got $it\" $it; done
        trap 'echo got TERM; exit 3' TERM
        echo begun; while :; do sleep 0.05; done";
    let running = Running::begun(&servers, &["job"], script);
    for signal in [
        Signal::SIGHUP,
        Signal::SIGINT,
        Signal::SIGQUIT,
        Signal::SIGUSR1,
        Signal::SIGUSR2,
    ] {
        running.signal(signal);
        running.until_says(&format!("got {}", &signal.as_str()[3..]));
    }
    running.signal(Signal::SIGTERM);
    let ended = running.ended();
    ended.assert_code(3);
    let got: Vec<_> = ended.stdout.lines().skip(1).collect();
    assert_eq!(
        got,
        [
            "got HUP", "got INT", "got QUIT", "got USR1", "got USR2", "got TERM"
        ]
    );
    assert_eq!(servers.holders("job"), [None]);
}

#[test]
fn the_children_of_the_command_get_signals_too() {
    let servers = Servers::start(1);
    let script = "trap : USR1
        sh -c 'trap \"echo child; exit\" USR1; echo begun; while :; do sleep 0.05; done'
        echo over";
    let running = Running::begun(&servers, &["job"], script);
    running.signal(Signal::SIGUSR1);
    let ended = running.ended();
    ended.assert_code(0);
    assert_eq!(ended.stdout, "begun\nchild\nover\n");
}

#[test]
fn a_signal_ends_the_command_and_then_the_lock_is_released() {
    let servers = Servers::start(3);
    let running = Running::begun(&servers, &["job"], ENDLESS);
    running.signal(Signal::SIGTERM);
    running.ended().assert_code(143);
    until_free(&servers, "job");
}

#[test]
fn a_signal_ends_the_wait() {
    let servers = Servers::start(3);
    let holder = Running::begun(&servers, &["job"], ENDLESS);
    for (signal, code) in [(Signal::SIGTERM, 143), (Signal::SIGINT, 130)] {
        let waiting = Running::start(redsync(&servers, &["run", "job", "--", "echo", "done"]));
        until_listening(&waiting);
        waiting.signal(Signal::SIGUSR1);
        waiting.signal(signal);
        let ended = waiting.ended();
        ended.assert_code(code);
        assert_eq!(ended.stdout, "");
    }
    let held = servers.holders("job");
    assert!(held.iter().all(Option::is_some), "it left the lock alone");
    drop(holder);
}

#[test]
fn a_signal_during_an_attempt_leaves_no_key() {
    let servers = Servers::start(3);
    // Two of three hang, so that the attempt has a key on the third, and goes on.
    servers[1].stop();
    servers[2].stop();
    let run = ["run", "--node-timeout", "10s", "--expiry", "60s", "job"];
    let waiting = Running::start(redsync(&servers, &[&run[..], &["--", "true"]].concat()));
    until("a key", SOON, || servers[0].get("job").is_some());
    waiting.signal(Signal::SIGTERM);
    servers[1].cont();
    servers[2].cont();
    waiting.ended().assert_code(143);
    until_free(&servers, "job");
}

#[test]
fn an_ignored_signal_stays_ignored_here_and_in_the_command() {
    let servers = Servers::start(1);
    // Each of them would be ended by its own signal, and the command by what is passed on to it.
    let script = "kill -HUP $PPID; kill -HUP $$; echo alive; exit 3";
    let mut command = std::process::Command::new("sh");
    let line = format!("trap '' HUP; exec {PROGRAM} run job -- sh -c '{script}'");
    command
        .args(["-c", &line])
        .env("REDSYNC_NODES", servers.urls().join(","));
    let ended = Running::start(command).ended();
    ended.assert_code(3);
    assert_eq!(ended.stdout, "alive\n");
}

/// Waits until the process receives signals instead of being ended by them.
fn until_listening(process: &Running) {
    let path = format!("/proc/{}/status", process.pid());
    until("it receives signals", SOON, || {
        let status = std::fs::read_to_string(&path).unwrap();
        let set = status.lines().find_map(|it| it.strip_prefix("SigCgt:"));
        let set = u64::from_str_radix(set.unwrap().trim(), 16).unwrap();
        // The last that it asks for.
        set & (1 << (Signal::SIGUSR2 as i32 - 1)) != 0
    });
}

#[test]
fn a_lock_is_not_released_before_a_command_that_handles_a_signal_has_ended() {
    let servers = Servers::start(1);
    let script = "trap 'echo cleaning; read line <$FIFO; exit 4' TERM
        echo begun; while :; do sleep 0.05; done";
    let home = tempfile::tempdir().unwrap();
    let fifo = home.path().join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let mut command = redsync(&servers, &["run", "job", "--", "sh", "-c", script]);
    command.env("FIFO", &fifo);
    let running = Running::start(command);
    running.until_says("begun");
    running.signal(Signal::SIGTERM);
    running.until_says("cleaning");
    until_held(&servers, "job");
    std::fs::write(fifo, "\n").unwrap();
    running.ended().assert_code(4);
    assert_eq!(servers.holders("job"), [None]);
}
