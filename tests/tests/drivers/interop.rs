//! Beside clients of go-redsync v4, which know nothing of what we add: their commands, as it sends
//! them.

use redis::{RedisResult, Value};
use redsync::{
    Mode,
    node::{AcquireVote, ExtendVote, Node, ReleaseVote},
};
use redsync_tests::{RedisServer, UNLOCK_OF_GO};

use crate::{acquire, deadpool, entry, refused, release};

/// `WithValue(value)`, as `Lock` sends it.
fn lock(server: &RedisServer, name: &str, value: &str) -> bool {
    server.command(&["SET", name, value, "NX", "PX", "8000"]) == Value::Okay
}

/// As `Unlock` sends it, in substance.
fn unlock(server: &RedisServer, name: &str, value: &str) -> RedisResult<Value> {
    server.try_command(&["EVAL", UNLOCK_OF_GO, "1", name, value])
}

/// As `Extend` sends it, in substance.
fn touch(server: &RedisServer, name: &str, value: &str) -> RedisResult<Value> {
    const TOUCH: &str = r#"
        if redis.call("GET", KEYS[1]) == ARGV[1] then
            return redis.call("PEXPIRE", KEYS[1], ARGV[2])
        else
            return 0
        end"#;
    server.try_command(&["EVAL", TOUCH, "1", name, value, "60000"])
}

#[tokio::test]
async fn an_exclusive_lock_is_its_own() {
    let server = RedisServer::start();
    let node = deadpool(&server.url());

    for ours in [entry("a", "ours"), entry("a", "ours").with_fencing(true)] {
        acquire(&node, &ours).await;
        assert!(!lock(&server, "a", "theirs"));
        assert_eq!(unlock(&server, "a", "theirs"), Ok(Value::Int(0)));
        assert_eq!(touch(&server, "a", "theirs"), Ok(Value::Int(0)));
        release(&node, &ours).await;

        assert!(lock(&server, "a", "theirs"));
        refused(&node, &ours).await;
        refused(
            &node,
            &ours.clone().with_mode(Mode::Shared).with_fencing(false),
        )
        .await;
        assert_eq!(
            node.release(&ours).await.expect("an answer"),
            ReleaseVote::NotOwner
        );
        let vote = node.extend(&ours, None, true).await.expect("an answer");
        assert_eq!(vote, ExtendVote::NotOwner);
        assert_eq!(touch(&server, "a", "theirs"), Ok(Value::Int(1)));
        assert_eq!(unlock(&server, "a", "theirs"), Ok(Value::Int(1)));
    }
}

/// Who has our value, has our lock: one side can carry on what the other has begun.
#[tokio::test]
async fn an_exclusive_lock_can_be_handed_over() {
    let server = RedisServer::start();
    let node = deadpool(&server.url());

    acquire(&node, &entry("a", "handed")).await;
    assert_eq!(touch(&server, "a", "handed"), Ok(Value::Int(1)));
    assert_eq!(unlock(&server, "a", "handed"), Ok(Value::Int(1)));
    assert_eq!(unlock(&server, "a", "handed"), Ok(Value::Int(-1)));

    assert!(lock(&server, "a", "handed"));
    let vote = node.extend(&entry("a", "handed"), None, false).await;
    assert_eq!(vote.expect("an answer"), ExtendVote::Extended);
    release(&node, &entry("a", "handed")).await;
    assert!(server.keys().is_empty());
}

#[tokio::test]
async fn shared_holders_are_taken_to_it_and_safe_from_it() {
    let server = RedisServer::start();
    let node = deadpool(&server.url());
    let one = entry("a", "one").with_mode(Mode::Shared);
    let two = entry("a", "two").with_mode(Mode::Shared);

    acquire(&node, &one).await;
    acquire(&node, &two).await;
    assert!(!lock(&server, "a", "theirs"));
    // It may even have one of the values.
    for value in ["theirs", "one", ""] {
        let error = unlock(&server, "a", value).expect_err("not a string");
        assert_eq!(error.code(), Some("WRONGTYPE"));
        let error = touch(&server, "a", value).expect_err("not a string");
        assert_eq!(error.code(), Some("WRONGTYPE"));
    }
    let holders = node
        .inspect("a")
        .await
        .expect("an answer")
        .expect("holders");
    assert_eq!(holders.holders.len(), 2);

    release(&node, &one).await;
    assert!(!lock(&server, "a", "theirs"));
    release(&node, &two).await;
    assert!(lock(&server, "a", "theirs"));
    refused(&node, &one).await;
}

/// A key of any other type is somebody's, and nothing of ours.
#[tokio::test]
async fn a_key_of_another_type_is_taken_and_not_touched() {
    let server = RedisServer::start();
    let node = deadpool(&server.url());
    server.command(&["RPUSH", "a", "ours"]);
    server.command(&["HSET", "b", "ours", "1"]);
    server.command(&["PEXPIRE", "b", "20000"]);

    for name in ["a", "b"] {
        for mode in [Mode::Exclusive, Mode::Shared] {
            let ours = entry(name, "ours").with_mode(mode);
            let vote = node.acquire(&ours).await.expect("an answer");
            let AcquireVote::Taken { remaining } = vote else {
                panic!("{vote:?}");
            };
            assert_eq!(remaining.is_some(), name == "b", "whether it expires");
            let vote = node.release(&ours).await.expect("an answer");
            assert_eq!(vote, ReleaseVote::NotOwner);
            let vote = node.extend(&ours, None, true).await.expect("an answer");
            assert_eq!(vote, ExtendVote::NotOwner);
        }
        let holders = node
            .inspect(name)
            .await
            .expect("an answer")
            .expect("a holder");
        assert_eq!(holders.mode, Mode::Exclusive);
    }
    refused(&node, &entry("c", "ours").with_names(["a", "c"])).await;
    assert_eq!(server.keys(), ["a", "b"]);
}
