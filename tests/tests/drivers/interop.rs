//! Nodes that are shared with clients of go-redsync v4 and of rslock, which know nothing of what we add. The
//! commands of go-redsync are written out here.

use std::time::Duration;

use redis::{RedisResult, Value};
use redsync::{
    LockError, Mode, Redsync,
    node::{AcquireVote, Entry, ExtendVote, Node, ReleaseVote},
};
use redsync_tests::{RedisServer, UNLOCK_OF_GO};

use crate::{acquire, deadpool, entry, refused, release};

/// `WithValue(value)`, as `Lock` sends it.
fn lock(server: &RedisServer, name: &str, value: &str) -> bool {
    server.command(&["SET", name, value, "NX", "PX", "8000"]) == Value::Okay
}

/// What `Unlock` sends, in substance.
fn unlock(server: &RedisServer, name: &str, value: &str) -> RedisResult<Value> {
    server.try_command(&["EVAL", UNLOCK_OF_GO, "1", name, value])
}

/// What `Extend` sends, in substance.
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
async fn an_exclusive_lock_excludes_go_clients_and_is_excluded_by_theirs() {
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

/// A client that has our value has our lock, so one side can go on with the lock of the other.
#[tokio::test]
async fn an_exclusive_lock_can_be_passed_on_with_its_value() {
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
async fn go_clients_see_shared_locks_as_taken_and_cannot_remove_them() {
    let server = RedisServer::start();
    let node = deadpool(&server.url());
    let one = entry("a", "one").with_mode(Mode::Shared);
    let two = entry("a", "two").with_mode(Mode::Shared);

    acquire(&node, &one).await;
    acquire(&node, &two).await;
    assert!(!lock(&server, "a", "theirs"));
    // Not even a client that has one of the values can.
    for value in ["theirs", "one", ""] {
        for reply in [unlock(&server, "a", value), touch(&server, "a", value)] {
            // Redis before 7.0 puts the place in the script before it.
            let error = reply.expect_err("not a string").to_string();
            assert!(error.contains("WRONGTYPE"), "{error}");
        }
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

#[tokio::test]
async fn an_exclusive_lock_excludes_rslock_and_is_excluded_by_it() {
    let server = RedisServer::start();
    let redsync = Redsync::connect([server.url()]).unwrap();
    let mut theirs = rslock::LockManager::new(vec![server.url()]);
    theirs.set_retry(1, Duration::from_millis(1));
    let expiry = Duration::from_secs(20);

    let guard = redsync.mutex("a").lock().await.unwrap();
    assert!(theirs.lock("a", expiry).await.is_err());
    guard.release().await.unwrap();

    let lock = theirs.lock("a", expiry).await.unwrap();
    let error = redsync.mutex("a").try_lock().await.unwrap_err();
    assert!(matches!(error, LockError::Taken(_)), "{error}");
    lock.release().await;
    let guard = redsync.mutex("a").try_lock().await.unwrap();
    guard.release().await.unwrap();
}

/// Acquires until the node says what keeps the entry out. A node may refuse before it knows that.
async fn acquire_vote<N: Node>(node: &N, entry: &Entry) -> AcquireVote {
    for _ in 0..10 {
        let vote = node.acquire(entry).await.expect("an answer");
        if vote != (AcquireVote::Taken { remaining: None }) {
            return vote;
        }
    }
    panic!("it never knew");
}

/// A key of any other type belongs to another program.
#[tokio::test]
async fn a_key_of_another_type_is_not_a_lock_and_not_touched() {
    let server = RedisServer::start();
    let node = deadpool(&server.url());
    server.command(&["RPUSH", "a", "ours"]);
    server.command(&["HSET", "b", "ours", "1"]);
    server.command(&["PEXPIRE", "b", "20000"]);

    for name in ["a", "b"] {
        for mode in [Mode::Exclusive, Mode::Shared] {
            let ours = entry(name, "ours").with_mode(mode);
            let not_a_lock = AcquireVote::NotALock { name: name.into() };
            assert_eq!(acquire_vote(&node, &ours).await, not_a_lock);
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
    for mode in [Mode::Exclusive, Mode::Shared] {
        let several = entry("c", "ours").with_names(["b", "c"]).with_mode(mode);
        let vote = node.acquire(&several).await.expect("an answer");
        assert_eq!(vote, AcquireVote::NotALock { name: "b".into() });
    }
    assert_eq!(server.keys(), ["a", "b"]);
    assert!((10_000..=20_000).contains(&server.pttl("b")));
}
