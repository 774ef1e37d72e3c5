//! Errors of a server that cannot do what it is asked: its own code, and our description.

use std::time::Duration;

use redsync::{
    Mode, NodeError,
    node::{ExtendVote, Node, ReleaseVote},
};
use redsync_tests::{RedisServer, wait::until_async};

use crate::{acquire, deadpool, entry, fred, manager, refused, release};

/// Runs a check with a node of every driver, one after the other.
macro_rules! each_driver {
    ($url:expr, |$node:ident| $check:block) => {{
        let url: &str = &$url;
        let $node = deadpool(url);
        $check;
        let $node = manager(url);
        $check;
    }};
    // The same, and with those that connect when they are made.
    (also connected, $url:expr, |$node:ident| $check:block) => {{
        let url: &str = &$url;
        each_driver!(url, |$node| $check);
        let $node = fred(url).await;
        $check;
    }};
}

/// Asserts that an acquisition is refused with this code and described in these words.
async fn is_refused<N: Node>(node: &N, expected: &str, words: &str) {
    let error = node
        .acquire(&entry("a", "the-value"))
        .await
        .expect_err("an error");
    let NodeError::Refused { code, .. } = &error else {
        panic!("{}: {error:?}", node.address());
    };
    assert_eq!(&**code, expected, "{error:?}");
    let shown = error.to_string();
    assert!(shown.contains(words), "{shown}");
    contains_no_secret(node, &error);
}

fn contains_no_secret<N: Node>(node: &N, error: &NodeError) {
    let shown = format!("{error} {error:?} {:?}", node.address());
    assert!(
        !shown.contains("secret") && !shown.contains("the-value"),
        "{shown}"
    );
}

#[tokio::test]
async fn a_server_that_requires_a_password_refuses_to_acquire() {
    let server = RedisServer::start_with(&["--requirepass", "secret"]);
    each_driver!(server.url(), |node| {
        is_refused(&node, "NOAUTH", "requires a password").await;
    });
}

#[tokio::test]
async fn a_server_that_requires_another_password_refuses_to_acquire() {
    let server = RedisServer::start_with(&["--requirepass", "right"]);
    for user in ["", "user"] {
        let url = format!("redis://{user}:secret@{}", server.address());
        each_driver!(url, |node| {
            is_refused(&node, "WRONGPASS", "does not accept the user or password").await;
        });
    }
}

/// A server that refuses one connection may accept the next.
#[tokio::test]
async fn a_password_that_becomes_right_is_accepted() {
    let server = RedisServer::start_with(&["--requirepass", "right"]);
    let node = deadpool(&format!("redis://:secret@{}", server.address()));
    is_refused(&node, "WRONGPASS", "password").await;
    server.command(&["CONFIG", "SET", "requirepass", "secret"]);
    acquire(&node, &entry("a", "the-value")).await;
}

#[tokio::test]
async fn a_replica_refuses_to_acquire() {
    let primary = RedisServer::start();
    let port = primary.port().to_string();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    each_driver!(also connected, replica.url(), |node| {
        is_refused(&node, "READONLY", "read-only").await;
    });
}

#[tokio::test]
async fn a_server_out_of_memory_still_extends_and_releases() {
    let server = RedisServer::start();
    each_driver!(also connected, server.url(), |node| {
        let held = entry("held", "the-value");
        acquire(&node, &held).await;
        server.command(&["CONFIG", "SET", "maxmemory", "1"]);
        is_refused(&node, "OOM", "out of memory").await;
        let vote = node.extend(&held, None, false).await.expect("an answer");
        assert_eq!(vote, ExtendVote::Extended);
        release(&node, &held).await;
        server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    });
}

/// A writer has reserved the name, and has not made another attempt.
#[tokio::test]
async fn a_server_out_of_memory_still_extends_and_releases_shared_locks() {
    let server = RedisServer::start();
    let node = deadpool(&server.url());
    let [one, two] = ["one", "two"].map(|value| entry("a", value).with_mode(Mode::Shared));
    acquire(&node, &one).await;
    acquire(&node, &two).await;
    let fill = || {
        // The reservation is over.
        server.command(&["ZADD", "a", "1", ""]);
        server.command(&["CONFIG", "SET", "maxmemory", "1"]);
    };
    fill();
    let vote = node.extend(&one, None, false).await.expect("an answer");
    assert_eq!(vote, ExtendVote::Extended);
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    fill();
    release(&node, &one).await;
    release(&node, &two).await;
    server.command(&["CONFIG", "SET", "maxmemory", "0"]);
    assert!(server.keys().is_empty());
}

#[tokio::test]
async fn a_server_that_is_loading_refuses_to_acquire() {
    const FILL: &str = "for i = 1, 20000 do redis.call('SET', i, i) end";
    let args = ["--appendonly", "yes", "--key-load-delay", "200"];
    let server = RedisServer::start_with(&args);
    server.command(&["EVAL", FILL, "0"]);
    server.restart_loading();
    let node = deadpool(&server.url());
    is_refused(&node, "LOADING", "loading").await;
    until_async(
        "the server has loaded",
        Duration::from_secs(30),
        async || node.acquire(&entry("a", "the-value")).await.is_ok(),
    )
    .await;
}

#[tokio::test]
async fn a_server_that_does_not_run_cannot_be_reached() {
    let server = RedisServer::start();
    server.kill();
    let url = format!("redis://user:secret@{}", server.address());
    each_driver!(url, |node| {
        let error = node
            .acquire(&entry("a", "the-value"))
            .await
            .expect_err("an error");
        assert!(matches!(error, NodeError::Unreachable(_)), "{error:?}");
        assert!(error.to_string().contains("cannot be reached"), "{error}");
        contains_no_secret(&node, &error);
    });
}

#[tokio::test]
async fn a_server_that_comes_back_is_used_again() {
    let server = RedisServer::start();
    each_driver!(also connected, server.url(), |node| {
        let ours = entry("a", "the-value");
        acquire(&node, &ours).await;
        server.kill();
        let error = node.acquire(&ours).await.expect_err("an error");
        let lost = matches!(
            error,
            NodeError::Disconnected(_) | NodeError::Unreachable(_)
        );
        assert!(lost, "{error:?}");
        contains_no_secret(&node, &error);
        server.restart();
        until_async("the node is back", Duration::from_secs(5), async || {
            node.acquire(&ours).await.is_ok()
        })
        .await;
        release(&node, &ours).await;
    });
}

/// A user who may only `SET` could not release locks, and so acquires none.
#[tokio::test]
async fn a_user_who_may_not_release_locks_cannot_acquire_any() {
    let server = RedisServer::start();
    let user = ["ACL", "SETUSER", "little", "on", ">secret", "~*", "+set"];
    server.command(&user);
    let url = format!("redis://little:secret@{}", server.address());
    each_driver!(also connected, url, |node| {
        let ours = entry("a", "the-value");
        assert_eq!(
            node.identity().await.expect("an answer"),
            None,
            "INFO is not permitted"
        );
        for _ in 0..2 {
            let error = node.acquire(&ours).await.expect_err("no EVAL");
            let refused = matches!(&error, NodeError::CannotRelease { .. });
            assert!(refused, "{error:?}");
            assert!(error.to_string().contains("does not permit"), "{error}");
            assert!(error.to_string().contains("'eval'"), "{error}");
            contains_no_secret(&node, &error);
            assert!(server.keys().is_empty());
        }

        let error = node.release(&ours).await.expect_err("no EVALSHA");
        let NodeError::Refused { code, .. } = &error else {
            panic!("{error:?}");
        };
        assert_eq!(&**code, "NOPERM");
        assert!(error.to_string().contains("does not permit"), "{error}");
        assert!(error.to_string().contains("'eval'"), "{error}");
        contains_no_secret(&node, &error);
    });
}

/// The permissions for all operations on exclusive locks.
#[tokio::test]
async fn a_user_with_the_permissions_in_the_docs_can_do_everything() {
    let server = RedisServer::start();
    let commands = [
        "+set",
        "+get",
        "+del",
        "+type",
        "+pttl",
        "+pexpire",
        "+pexpireat",
        "+time",
        "+incrby",
        "+zadd",
        "+zcard",
        "+zrem",
        "+zscore",
        "+zrange",
        "+zrevrange",
        "+zremrangebyscore",
        "+eval",
        "+evalsha",
    ];
    let mut user = vec!["ACL", "SETUSER", "locker", "on", ">secret", "~*"];
    user.extend(commands);
    server.command(&user);
    let node = deadpool(&format!("redis://locker:secret@{}", server.address()));
    redsync::node::contract::check(&node).await;
}

#[tokio::test]
async fn two_names_in_two_slots_of_a_cluster_are_refused() {
    let server = crate::cluster::single();
    let node = deadpool(&server.url());
    let apart = entry("", "the-value").with_names(["a", "b"]);
    let error = node.acquire(&apart).await.expect_err("an error");
    assert!(error.to_string().contains("CROSSSLOT"), "{error}");
    acquire(&node, &entry("", "the-value").with_names(["{a}1", "{a}2"])).await;
    refused(&node, &entry("{a}1", "other")).await;
    let vote = node
        .release(&entry("{a}3", "the-value"))
        .await
        .expect("an answer");
    assert_eq!(vote, ReleaseVote::NotOwner);
}
