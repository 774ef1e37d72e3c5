//! The permissions that each feature needs, as the docs list them, for users of a real server.

use std::{collections::HashMap, time::Duration};

use redis::Value;
use redsync::{
    LockError, Mutex, Redsync, Released,
    node::{ExtendVote, Node},
};
use redsync_tests::{Servers, wait::until_async};
use tokio::time::timeout;

use crate::{acquire, deadpool, entry};

const SOON: Duration = Duration::from_secs(20);

/// Longer than a test takes on a busy machine.
const EXPIRY: Duration = Duration::from_secs(60);

/// What go-redsync needs.
const PLAIN: &[&str] = &["+set", "+get", "+del", "+pexpire", "+eval", "+evalsha"];

/// Three servers with a user who may run these commands, and the URLs for that user.
fn start(commands: &[&[&str]]) -> (Servers, Vec<String>) {
    let servers = Servers::start(3);
    for server in servers.iter() {
        let mut user = vec!["ACL", "SETUSER", "app", "on", ">secret", "~*"];
        user.extend(commands.iter().copied().flatten());
        server.command(&user);
    }
    let urls = servers
        .iter()
        .map(|server| format!("redis://app:secret@{}", server.address()));
    let urls = urls.collect();
    (servers, urls)
}

fn connect(urls: &[String]) -> Redsync {
    let redsync = Redsync::connect(urls).unwrap();
    redsync
        .with_defaults(|mutex| mutex.with_expiry(EXPIRY))
        .unwrap()
}

/// Locks, is extended twice by keep-alive, and releases.
async fn holds(mutex: &Mutex) {
    // The first extension is due after one second.
    let mutex = mutex.clone().with_expiry(Duration::from_secs(3));
    let mut guard = mutex.lock().await.unwrap();
    guard.keep_alive();
    for _ in 0..2 {
        let until = guard.until();
        until_async("an extension", SOON, async || guard.until() > until).await;
    }
    assert!(!guard.is_lost(), "it was not extended");
    assert!(guard.verify().await.unwrap());
    guard.extend().await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
}

#[tokio::test]
async fn a_plain_lock_needs_the_permissions_of_go_redsync() {
    let (servers, urls) = start(&[PLAIN]);
    let (here, there) = (connect(&urls), connect(&urls));
    holds(&here.mutex("a")).await;

    let guard = here.mutex("a").lock().await.unwrap();
    let error = there.mutex("a").try_lock().await.unwrap_err();
    assert!(matches!(error, LockError::Taken(_)), "{error}");
    let waiter = there.mutex("a");
    let waiter = tokio::spawn(async move { waiter.lock_within(SOON).await });
    guard.extend().await.unwrap();
    drop(guard);
    let guard = waiter.await.unwrap().unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);

    // A lost key is set again.
    let guard = here.mutex("b").with_set_if_absent_on_extend(true);
    let guard = guard.with_fail_fast(false).lock().await.unwrap();
    servers[0].command(&["DEL", "b"]);
    guard.extend().await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    here.drain().await;
    there.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn a_plain_lock_is_never_shortened_by_an_extension() {
    for more in [&[][..], &["+pttl"]] {
        let (servers, urls) = start(&[PLAIN, more]);
        let node = deadpool(&urls[0]);
        let mut ours = entry("a", "the-value");
        acquire(&node, &ours).await;
        // A server older than 7.0 has no GT. There, the user has to have PTTL for this, and a lock with
        // the permissions for go-redsync is extended as by go-redsync.
        let has_gt = servers[0].try_command(&["PEXPIRE", "b", "1", "GT"]).is_ok();
        ours.expiry = Duration::from_secs(5);
        let vote = node.extend(&ours, None, false).await.unwrap();
        assert_eq!(vote, ExtendVote::Extended);
        let left = servers[0].pttl("a");
        assert_eq!(left > 20_000, has_gt || !more.is_empty(), "{left}");
        ours.expiry = Duration::from_secs(60);
        let vote = node.extend(&ours, None, false).await.unwrap();
        assert_eq!(vote, ExtendVote::Extended);
        assert!(servers[0].pttl("a") > 40_000, "{}", servers[0].pttl("a"));
    }
}

#[tokio::test]
async fn moving_a_lock_to_another_process_needs_the_permissions_in_the_docs() {
    let (servers, urls) = start(&[PLAIN, &["+pttl"]]);
    let (here, there) = (connect(&urls), connect(&urls));
    let guard = here.mutex("a").with_fail_fast(false).lock().await.unwrap();
    let guard = there.mutex("a").resume(guard.into_parts()).await.unwrap();
    guard.extend().await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);

    // With the same permission, a key that is not a lock is recognized.
    for server in servers.iter() {
        server.command(&["SET", "b", "a cached page"]);
    }
    let error = here.mutex("b").try_lock().await.unwrap_err();
    assert!(matches!(error, LockError::NotALock(_)), "{error}");
}

#[tokio::test]
async fn several_names_need_the_permissions_in_the_docs() {
    let (_servers, urls) = start(&[PLAIN, &["+time", "+type", "+pttl"]]);
    let redsync = connect(&urls);
    holds(&redsync.mutex_many(["a", "b"])).await;
    let guard = redsync.mutex("b").lock().await.unwrap();
    let error = redsync.mutex_many(["a", "b"]).try_lock().await.unwrap_err();
    assert!(error.is_contention(), "{error}");
    guard.release().await.unwrap();
}

#[tokio::test]
async fn fencing_needs_the_permissions_in_the_docs() {
    let (_servers, urls) = start(&[PLAIN, &["+time", "+type", "+pttl", "+incrby"]]);
    let redsync = connect(&urls);
    let mutex = redsync.mutex("a").with_fencing(true);
    holds(&mutex).await;
    let token = async || {
        let guard = mutex.lock().await.unwrap();
        let token = guard.fencing_token().unwrap();
        guard.release().await.unwrap();
        token
    };
    assert!(token().await < token().await);
}

#[tokio::test]
async fn shared_locks_need_the_permissions_in_the_docs() {
    let (_servers, urls) = start(&[
        PLAIN,
        &[
            "+time",
            "+type",
            "+pttl",
            "+pexpireat",
            "+zadd",
            "+zcard",
            "+zrange",
        ],
        &["+zrem", "+zremrangebyscore", "+zrevrange", "+zscore"],
    ]);
    let (here, there) = (connect(&urls), connect(&urls));
    let shared = here.mutex("a").shared();
    holds(&shared).await;
    let guards = [
        shared.lock().await.unwrap(),
        there.mutex("a").shared().lock().await.unwrap(),
    ];
    let error = there.mutex("a").try_lock().await.unwrap_err();
    assert!(error.is_contention(), "{error}");
    for guard in guards {
        assert_eq!(guard.release().await.unwrap(), Released::Held);
    }
    let guard = there.mutex("a").lock_within(SOON).await.unwrap();
    guard.release().await.unwrap();
}

#[tokio::test]
async fn wake_ups_need_the_permissions_in_the_docs() {
    let (servers, urls) = start(&[PLAIN, &["+client|tracking", "+exists"]]);
    let (here, there) = (connect(&urls), connect(&urls));
    let guard = here.mutex("a").lock().await.unwrap();
    // A waiter does not watch a server that it gets before the holder.
    here.drain().await;
    let patient = there.mutex("a").with_retry_delay(EXPIRY).with_tries(2);
    let waiter = tokio::spawn(async move { patient.lock().await });
    until_async("all servers are watched", SOON, async || {
        let mut servers = servers.iter();
        servers.all(|server| server.info("tracking_total_keys") == 1)
    })
    .await;
    guard.release().await.unwrap();
    let woken = timeout(SOON, waiter).await.expect("a wake-up");
    woken.unwrap().unwrap().release().await.unwrap();
}

#[tokio::test]
async fn the_user_on_the_page_on_deployment_locks_with_fencing_and_wake_ups_and_is_probed_and_nothing_else()
 {
    let page = include_str!("../../../redsync/src/docs/deployment.md");
    let lines: Vec<_> = page
        .lines()
        .filter(|line| line.starts_with("ACL "))
        .collect();
    assert!(!lines.is_empty());
    let servers = Servers::start(3);
    for server in servers.iter() {
        for line in &lines {
            server.command(&line.split(' ').collect::<Vec<_>>());
        }
    }
    let urls = servers
        .iter()
        .map(|server| format!("redis://locks:password@{}", server.address()));
    let redsync = connect(&urls.collect::<Vec<_>>());
    let order = redsync.mutex("order:42").with_fencing(true);
    holds(&order).await;
    // The first release takes two trips: the servers did not know its script.
    redsync.drain().await;
    let guard = order.lock().await.unwrap();
    let waiter = {
        let order = order.clone().with_hand_over(0, Duration::ZERO);
        tokio::spawn(async move { order.lock_within(SOON).await })
    };
    until_async("all servers are watched", SOON, async || {
        let mut servers = servers.iter();
        servers.all(|server| server.info("tracking_total_keys") == 1)
    })
    .await;
    guard.release().await.unwrap();
    waiter.await.unwrap().unwrap().release().await.unwrap();
    let votes = redsync.probe().await;
    assert_eq!(votes.granted(), 3, "{votes}");
    for server in servers.iter() {
        let log: Vec<HashMap<String, Value>> = server.query(&["ACL", "LOG"]);
        let of_keys =
            |entry: &&HashMap<_, _>| entry["reason"] == Value::BulkString(b"key".to_vec());
        let refused: Vec<_> = log.iter().filter(of_keys).collect();
        assert!(refused.is_empty(), "{refused:?}");
    }

    let error = redsync.mutex("stock:42").try_lock().await.unwrap_err();
    assert!(matches!(error, LockError::Unavailable(_)), "{error}");
}

/// Neither a lock whose key stays nor one that cannot be extended is found out by its users only.
#[tokio::test]
async fn permissions_that_are_withdrawn_later_are_noticed() {
    let (servers, urls) = start(&[PLAIN]);
    let redsync = connect(&urls);
    let permit = |rules: &[&str]| {
        for server in servers.iter() {
            server.command(&[&["ACL", "SETUSER", "app"], rules].concat());
        }
    };
    let mutex = redsync.mutex("a");
    holds(&mutex).await;
    redsync.drain().await;

    permit(&["-pexpire"]);
    let votes = redsync.probe().await;
    assert_eq!(
        votes.granted(),
        0,
        "a lock that cannot be extended: {votes}"
    );
    redsync.drain().await;
    servers.assert_no_keys();

    // It is granted, and its release is refused.
    permit(&["-@all", "+set", "+get"]);
    mutex.lock().await.unwrap().release().await.unwrap_err();
    redsync.drain().await;
    for _ in 0..2 {
        let error = redsync.mutex("b").try_lock().await.unwrap_err();
        assert!(error.to_string().contains("cannot release"), "{error}");
    }
    redsync.drain().await;
    assert!(servers.iter().all(|server| server.keys() == ["a"]));

    permit(&["+@all"]);
    holds(&redsync.mutex("b")).await;
}

#[tokio::test]
async fn without_one_of_the_permissions_of_a_plain_lock_there_is_none_that_stays() {
    for missing in PLAIN {
        let rest = PLAIN.iter().copied().filter(|command| command != missing);
        let rest: Vec<_> = rest.collect();
        let (servers, urls) = start(&[&rest]);
        let redsync = connect(&urls);
        let result = redsync.mutex("a").try_lock().await;
        if *missing == "+evalsha" {
            // Scripts are sent as code.
            drop(result);
            holds(&redsync.mutex("a")).await;
            continue;
        }
        let error = result.expect_err(missing);
        assert!(matches!(error, LockError::Unavailable(_)), "{error}");
        // It says which.
        let shown = error.to_string().to_lowercase();
        assert!(shown.contains(&missing[1..]), "{missing}: {error}");
        redsync.drain().await;
        servers.assert_no_keys();
    }
}
