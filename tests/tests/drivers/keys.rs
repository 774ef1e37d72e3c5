//! The keys on a server: their types and values, how long they live, and the scripts that set them.

use std::time::Duration;

use redsync::{
    FencingToken, Mode,
    node::{Node, RaiseVote},
};
use redsync_tests::{RedisServer, wait::until_async};

use crate::{acquire, deadpool, entry, refused, release};

const LIMIT: Duration = Duration::from_secs(5);

const DAY: i64 = 24 * 60 * 60 * 1000;

#[tokio::test]
async fn an_exclusive_lock_is_a_string_key() {
    let server = RedisServer::start();
    let node = deadpool(&server.url());
    let names = ["a", "b"];

    acquire(&node, &entry("a", "value")).await;
    assert_eq!(server.keys(), ["a"]);
    release(&node, &entry("a", "value")).await;
    acquire(&node, &entry("", "value").with_names(names)).await;
    assert_eq!(server.keys(), names);
    for name in names {
        assert_eq!(server.get(name).as_deref(), Some("value"));
        assert!((1..=30_000).contains(&server.pttl(name)));
    }
    release(&node, &entry("", "value").with_names(names)).await;
    assert!(server.keys().is_empty());
}

#[tokio::test]
async fn a_shared_lock_is_a_sorted_set_that_lives_as_long_as_its_longest_holder() {
    let server = RedisServer::start();
    let node = deadpool(&server.url());
    let one = entry("a", "one").with_mode(Mode::Shared);
    let mut two = entry("a", "two").with_mode(Mode::Shared);
    two.expiry *= 2;

    acquire(&node, &one).await;
    assert!((1..=30_000).contains(&server.pttl("a")));
    acquire(&node, &two).await;
    let members: Vec<String> = server.query(&["ZRANGE", "a", "0", "-1"]);
    // The empty member distinguishes it from a sorted set that is not a lock.
    assert_eq!(members, ["", "one", "two"]);
    assert!((30_001..=60_000).contains(&server.pttl("a")));
    release(&node, &two).await;
    assert!((1..=30_000).contains(&server.pttl("a")));

    let waiting = entry("a", "exclusive").with_repetition(true);
    refused(&node, &waiting).await;
    // The mark of a waiting exclusive lock is renewed if less than half a second of it is left.
    let [seconds, micros]: [u64; 2] = server.query(&["TIME"]);
    let soon = seconds * 1000 + micros / 1000 + 400;
    server.command(&["ZADD", "a", &soon.to_string(), ""]);
    refused(&node, &waiting).await;
    let renewed: u64 = server.query(&["ZSCORE", "a", ""]);
    assert!(renewed > soon + 300, "{renewed}, {soon} before");
    // It outlives the holders by 750 ms at most.
    assert!((1..=30_000).contains(&server.pttl("a")));
    release(&node, &one).await;
    assert!((1..=750).contains(&server.pttl("a")));
    // It ends when that one leaves.
    node.release(&waiting).await.unwrap();
    assert!(server.keys().is_empty());
}

#[tokio::test]
async fn a_counter_is_a_key_beside_the_name_for_a_day() {
    let server = RedisServer::start();
    let node = deadpool(&server.url());
    // In a cluster it has to be in the slot of the name. That is the slot of the text in the first
    // braces, if there is any.
    let cases = [
        ("a", "{a}:fence"),
        ("{order}:42", "{order}:42:fence"),
        ("b{", "{b{}:fence"),
        ("x{}y", "{x{}y}:fence"),
    ];
    for (name, counter) in cases {
        let fenced = entry(name, "value").with_fencing(true);
        acquire(&node, &fenced).await;
        let number: u64 = server.query(&["GET", counter]);
        assert!((DAY - 10_000..=DAY).contains(&server.pttl(counter)));

        server.command(&["PEXPIRE", counter, "10000"]);
        let token = FencingToken::new(number + 1);
        let vote = node.raise(&fenced, token).await.expect("an answer");
        assert_eq!(vote, RaiseVote::Raised);
        assert!((DAY - 10_000..=DAY).contains(&server.pttl(counter)));

        release(&node, &fenced).await;
        assert_eq!(server.query::<u64>(&["GET", counter]), number + 1);
        let bytes: u64 = server.query(&["MEMORY", "USAGE", counter]);
        assert!(bytes < 200, "{bytes} bytes for the counter of {name}");
        server.flush();
    }
}

#[tokio::test]
async fn a_counter_shares_its_name_s_slot() {
    let server = RedisServer::start_with(&["--cluster-enabled", "yes"]);
    let slot = |key: &str| server.query::<u16>(&["CLUSTER", "KEYSLOT", key]);
    for (name, counter) in [
        ("a", "{a}:fence"),
        ("{order}:42", "{order}:42:fence"),
        ("x{y}z", "x{y}z:fence"),
        ("b{", "{b{}:fence"),
    ] {
        assert_eq!(slot(name), slot(counter), "{name}");
    }
}

#[tokio::test]
async fn scripts_come_back_when_they_are_flushed() {
    let server = RedisServer::start();
    let node = deadpool(&server.url());
    let flush = || server.command(&["SCRIPT", "FLUSH"]);
    let both = entry("", "value").with_names(["a", "b"]).with_fencing(true);
    let shared = entry("c", "value").with_mode(Mode::Shared);

    acquire(&node, &both).await;
    flush();
    let vote = node.raise(&both, FencingToken::new(i64::MAX as u64)).await;
    assert_eq!(vote.expect("an answer"), RaiseVote::Raised);
    flush();
    node.extend(&both, None, false).await.expect("an answer");
    flush();
    node.inspect("a").await.expect("an answer");
    flush();
    release(&node, &both).await;
    flush();
    acquire(&node, &shared).await;
    flush();
    release(&node, &shared).await;
    // And when the server has restarted.
    server.restart();
    until_async("the node is back", LIMIT, async || {
        node.acquire(&shared).await.is_ok()
    })
    .await;
}

/// The server has `DELIFEQ`, `DELEX` or only scripts. Which one is found out once.
#[tokio::test]
async fn how_to_compare_and_delete_is_found_out_once() {
    let server = RedisServer::start();
    let node = deadpool(&server.url());
    acquire(&node, &entry("a", "value")).await;
    let before = count(&server, "errorstats", "errorstat_ERR:count=");
    for _ in 0..10 {
        release(&node, &entry("a", "value")).await;
        acquire(&node, &entry("a", "value")).await;
    }
    let unknown = count(&server, "errorstats", "errorstat_ERR:count=") - before;
    assert!(unknown <= 2, "unknown commands were sent {unknown} times");

    // Only calls of known commands are counted. One EVAL checks whether locks can be released, and
    // another makes the EVALSHA that follow work.
    let used = ["delifeq", "delex", "evalsha", "eval"].map(|command| {
        let calls = count(
            &server,
            "commandstats",
            &format!("cmdstat_{command}:calls="),
        );
        (command, calls)
    });
    println!("{used:?}, and {unknown} unknown commands");
    let sum: u32 = used.iter().map(|(_, calls)| calls).sum();
    assert!((11..=12).contains(&sum), "{used:?}");
    assert_eq!(used[0].1 > 0, unknown == 0 && used[3].1 == 1, "{used:?}");
}

/// A number from a section of `INFO`.
fn count(server: &RedisServer, section: &str, prefix: &str) -> u32 {
    let info: String = server.query(&["INFO", section]);
    let line = info.lines().find_map(|line| line.strip_prefix(prefix));
    let number = line.map(|line| line.split(',').next().unwrap_or_default().trim());
    number.map_or(0, |number| number.parse().expect("a number"))
}
