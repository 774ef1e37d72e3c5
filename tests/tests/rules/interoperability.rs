//! Rule 13: a client of go-redsync v4 can share a mutex. Its commands are written out here.

use std::time::Duration;

use redis::Value;
use redsync::{ExtendError, Redsync, Released};
use redsync_tests::{RedisServer, Servers};

use crate::{NAME, assert_taken};

const GO_RELEASE: &str = r#"
	local val = redis.call("GET", KEYS[1])
	if val == ARGV[1] then
		return redis.call("DEL", KEYS[1])
	elseif val == false then
		return -1
	else
		return 0
	end
"#;

const GO_EXTEND: &str = r#"
	if redis.call("GET", KEYS[1]) == ARGV[1] then
		return redis.call("PEXPIRE", KEYS[1], ARGV[2])
	else
		return 0
	end
"#;

fn go_acquire(server: &RedisServer, value: &str) -> bool {
    server.command(&["SET", NAME, value, "NX", "PX", "8000"]) == Value::Okay
}

fn go_release(server: &RedisServer, value: &str) -> i64 {
    server.query(&["EVAL", GO_RELEASE, "1", NAME, value])
}

fn go_extend(server: &RedisServer, value: &str) -> i64 {
    server.query(&["EVAL", GO_EXTEND, "1", NAME, value, "60000"])
}

fn start() -> (Servers, Redsync) {
    let servers = Servers::start(3);
    let redsync = Redsync::connect(servers.urls())
        .and_then(|redsync| {
            redsync.with_defaults(|mutex| mutex.with_node_timeout(Duration::from_secs(2)))
        })
        .unwrap();
    (servers, redsync)
}

#[tokio::test]
async fn a_lock_is_a_string_key_of_its_name_with_the_owner_value_and_an_expiry() {
    let (servers, redsync) = start();
    let mutex = redsync.mutex(NAME).with_fail_fast(false);
    let guard = mutex.lock().await.unwrap();
    for server in &servers {
        assert_eq!(server.keys(), [NAME]);
        assert_eq!(server.query::<String>(&["TYPE", NAME]), "string");
        assert_eq!(
            server.get(NAME).as_deref(),
            Some(guard.expose_value().as_str())
        );
        let kept = server.pttl(NAME);
        assert!((1..=8000).contains(&kept), "{kept} ms");
    }
    guard.release().await.unwrap();
    redsync.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn names_are_sent_as_they_are() {
    let server = RedisServer::start();
    let redsync = Redsync::connect([server.url()]).unwrap();
    let name = "Bestellung 42 {ü}\r\n\"*\0";
    let mutex = redsync
        .mutex(name)
        .with_node_timeout(Duration::from_secs(2));
    let guard = mutex.lock().await.unwrap();
    assert_eq!(server.keys(), [name]);
    guard.extend().await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
}

#[tokio::test]
async fn go_clients_see_our_lock_as_taken() {
    let (servers, redsync) = start();
    let mutex = redsync.mutex(NAME).with_fail_fast(false);
    let guard = mutex.lock().await.unwrap();
    for server in &servers {
        assert!(!go_acquire(server, "theirs"));
        assert_eq!(go_release(server, "theirs"), 0);
        assert_eq!(go_extend(server, "theirs"), 0);
    }
    assert!(guard.verify().await.unwrap());
    guard.extend().await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    redsync.drain().await;
    for server in &servers {
        assert!(go_acquire(server, "theirs"));
    }
}

#[tokio::test]
async fn we_see_the_lock_of_a_go_client_as_taken() {
    let (servers, redsync) = start();
    for server in &servers[..2] {
        assert!(go_acquire(server, "theirs"));
    }
    let mutex = redsync.mutex(NAME).with_fail_fast(false);
    let result = mutex.try_lock().await;
    assert_taken(&result);
    let error = result.unwrap_err();
    let free_in = error.votes().unwrap().free_in().unwrap();
    assert!(free_in <= Duration::from_secs(8), "{free_in:?}");
    redsync.drain().await;

    for server in &servers[..2] {
        assert_eq!(server.get(NAME).as_deref(), Some("theirs"));
        assert_eq!(go_extend(server, "theirs"), 1);
        assert!(server.pttl(NAME) > 8000);
        assert_eq!(go_release(server, "theirs"), 1);
    }
    let _guard = mutex.try_lock().await.unwrap();
}

#[tokio::test]
async fn a_lock_can_be_passed_to_a_go_client() {
    let (servers, redsync) = start();
    let mutex = redsync.mutex(NAME).with_fail_fast(false);
    let value = mutex.lock().await.unwrap().into_parts().value;
    for server in &servers {
        assert_eq!(go_extend(server, value.as_str()), 1);
        assert!(server.pttl(NAME) > 8000);
        assert_eq!(go_release(server, value.as_str()), 1);
        assert_eq!(go_release(server, value.as_str()), -1);
    }
    let _guard = mutex.try_lock().await.unwrap();
}

#[tokio::test]
async fn a_lock_of_a_go_client_can_be_resumed() {
    let (servers, redsync) = start();
    for server in &servers {
        assert!(go_acquire(server, "theirs"));
    }
    let guard = redsync.mutex(NAME).resume("theirs").await.unwrap();
    assert!(guard.remaining() <= Duration::from_secs(8));
    guard.extend().await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    redsync.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn we_notice_when_a_go_client_has_acquired_the_lock() {
    let (servers, redsync) = start();
    let mutex = redsync.mutex(NAME).with_fail_fast(false);
    let guard = mutex.lock().await.unwrap();
    for server in &servers[..2] {
        server.flush();
        assert!(go_acquire(server, "theirs"));
    }
    assert!(!guard.verify().await.unwrap());
    let result = guard.extend().await;
    assert!(matches!(result, Err(ExtendError::Lost(_))), "{result:?}");
    assert_eq!(guard.release().await.unwrap(), Released::AlreadyLost);
    redsync.drain().await;
    for server in &servers[..2] {
        assert_eq!(server.get(NAME).as_deref(), Some("theirs"));
    }
}
