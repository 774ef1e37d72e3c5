use std::{
    fs,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Duration,
};

use super::{RedisServer, Servers};
use crate::{ports, wait};

const LIMIT: Duration = Duration::from_secs(10);

/// Whether there is such a process, dead and unreaped ones included.
fn exists(pid: u32) -> bool {
    let pid = rustix::process::Pid::from_raw(pid.cast_signed()).expect("a pid");
    rustix::process::test_kill_process(pid).is_ok()
}

#[test]
fn answers_once_started() {
    let server = RedisServer::start();
    assert_eq!(server.query::<String>(&["PING"]), "PONG");
    assert_eq!(server.url(), format!("redis://{}", server.address()));

    server.command(&["SET", "a", "1", "PX", "60000"]);
    server.command(&["SET", "b", "2"]);
    assert_eq!(server.get("a").as_deref(), Some("1"));
    assert!((1..=60_000).contains(&server.pttl("a")));
    assert_eq!(server.pttl("b"), -1);
    assert_eq!(server.pttl("c"), -2);
    assert_eq!(server.keys(), ["a", "b"]);

    server.flush();
    assert!(server.keys().is_empty());
}

#[test]
fn is_gone_when_dropped() {
    let server = RedisServer::start();
    let (pid, home) = (server.pid().expect("a pid"), server.home.path().to_owned());
    assert!(exists(pid));
    drop(server);
    assert!(!exists(pid));
    assert!(!home.exists());
}

#[test]
fn is_gone_after_a_panic() {
    let mut pid = None;
    let result = catch_unwind(AssertUnwindSafe(|| {
        let server = RedisServer::start();
        server.stop();
        pid = server.pid();
        server.command(&["PING"]);
    }));
    assert!(result.is_err(), "a stopped server cannot be asked");
    assert!(!exists(pid.expect("a pid")));
}

#[test]
fn is_refused_once_killed() {
    let server = RedisServer::start();
    let pid = server.pid().expect("a pid");
    server.kill();
    assert!(!exists(pid));
    assert_eq!(server.pid(), None);
    let error = server.try_command(&["PING"]).expect_err("no server");
    assert!(error.is_connection_refusal(), "{error}");
    // Killing it once more does no harm.
    server.kill();
}

#[test]
fn loses_data_by_a_restart() {
    let server = RedisServer::start();
    server.command(&["SET", "a", "1"]);
    let port = server.port();
    server.restart();
    assert_eq!(server.port(), port);
    assert_eq!(server.get("a"), None);
}

#[test]
fn keeps_data_with_appendonly() {
    let server = RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"]);
    server.command(&["SET", "a", "1"]);
    server.kill();
    server.restart();
    assert_eq!(server.get("a").as_deref(), Some("1"));
    server.restart_empty();
    assert_eq!(server.get("a"), None);
}

#[test]
fn may_be_seen_loading() {
    const FILL: &str = "for i = 1, 4000 do redis.call('SET', i, i) end";
    let args = ["--appendonly", "yes", "--key-load-delay", "200"];
    let server = RedisServer::start_with(&args);
    server.command(&["EVAL", FILL, "0"]);
    server.restart_loading();
    let error = server.try_command(&["GET", "1"]).expect_err("loading");
    assert_eq!(error.code(), Some("LOADING"));
    server.restart();
    assert_eq!(server.keys().len(), 4000);
}

#[test]
fn stops_and_goes_on() {
    let server = RedisServer::start();
    let pid = server.pid().expect("a pid");
    server.stop();
    server.stop();
    if let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) {
        let (_, rest) = stat.rsplit_once(") ").expect("a name in brackets");
        assert!(rest.starts_with('T'), "{stat}");
    }
    server.cont();
    assert_eq!(server.query::<String>(&["PING"]), "PONG");

    server.stop();
    server.restart();
    assert_eq!(server.query::<String>(&["PING"]), "PONG");
}

#[test]
fn knows_its_password() {
    let server = RedisServer::start_with(&["--requirepass", "secret"]);
    assert_eq!(server.query::<String>(&["PING"]), "PONG");
    let stranger = redis::Client::open(server.url()).expect("a client");
    let mut stranger = stranger.get_connection().expect("a connection");
    let error = redis::cmd("PING")
        .query::<String>(&mut stranger)
        .expect_err("without password");
    assert_eq!(error.code(), Some("NOAUTH"));
}

#[test]
fn reports_errors() {
    let server = RedisServer::start_with(&["--maxmemory", "1"]);
    let error = server
        .try_command(&["SET", "a", "1"])
        .expect_err("no memory");
    assert_eq!(error.code(), Some("OOM"));
}

#[test]
fn has_debug_commands() {
    let server = RedisServer::start();
    server.command(&["DEBUG", "SLEEP", "0"]);
}

#[test]
fn connects_again_after_a_client_kill() {
    let server = RedisServer::start();
    let stranger = redis::Client::open(server.url()).expect("a client");
    let mut stranger = stranger.get_connection().expect("a connection");
    server.command(&["SET", "a", "1"]);
    redis::cmd("CLIENT")
        .arg(&["KILL", "TYPE", "normal"])
        .exec(&mut stranger)
        .expect("kill the others");
    assert_eq!(server.get("a").as_deref(), Some("1"));
}

#[test]
fn says_why_it_does_not_start() {
    let result = catch_unwind(|| RedisServer::start_with(&["--no-such-option", "yes"]));
    let panic = result.expect_err("an unknown option");
    let message = panic.downcast_ref::<String>().expect("a message");
    assert!(message.contains("no-such-option"), "{message}");
}

#[test]
fn takes_another_port_if_one_is_lost() {
    let taken = ports::listen();
    let mut server = RedisServer::start();
    server.kill();
    server.port = ports::port_of(&taken);
    server.launch();
    server.settle();
    assert_ne!(server.port(), ports::port_of(&taken));
    assert_eq!(server.query::<String>(&["PING"]), "PONG");
}

#[test]
fn does_not_mistake_another_server_for_itself() {
    let other = RedisServer::start();
    let mut server = RedisServer::start();
    server.kill();
    server.port = other.port();
    server.launch();
    server.settle();
    assert_ne!(server.port(), other.port());
}

#[test]
fn several_are_independent() {
    let servers = Servers::start(3);
    assert_eq!(servers.urls().len(), 3);
    servers.assert_no_keys();

    servers[0].command(&["SET", "a", "x"]);
    servers[2].command(&["SET", "a", "y"]);
    let (x, y) = (Some("x".to_owned()), Some("y".to_owned()));
    assert_eq!(servers.holders("a"), [x, None, y.clone()]);
    assert!(catch_unwind(AssertUnwindSafe(|| servers.assert_no_keys())).is_err());

    servers[0].kill();
    servers[1].stop();
    assert_eq!(servers.holders("a"), [None, None, y]);
    servers[1].cont();
    servers[2].command(&["PEXPIRE", "a", "20"]);
    wait::until("expiry", LIMIT, || servers[2].get("a").is_none());
    servers.assert_no_keys();
}
