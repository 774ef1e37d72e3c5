//! Rule 11: no acquisition is sent twice, and one that arrives twice does no harm.

use redsync::{
    NodeError,
    node::{AcquireVote, Entry, MemoryNode, Node, redis::RedisNode},
};
use redsync_tests::{Proxy, RedisServer, wait};
use tokio::time::{Duration, sleep};

use crate::{NAME, ms};

#[tokio::test(start_paused = true)]
async fn finding_its_own_value_on_a_node_is_an_acquisition_and_the_expiry_stays() {
    let node = MemoryNode::new();
    let entry = Entry::new(NAME, "owner".into(), ms(1000));
    for _ in 0..3 {
        let vote = node.acquire(&entry).await.unwrap();
        assert_eq!(vote, AcquireVote::Acquired { number: None });
        sleep(ms(300)).await;
    }
    let found = node.inspect(NAME).await.unwrap().unwrap();
    assert_eq!(found.holders[0].remaining, Some(ms(100)));
}

#[tokio::test]
async fn on_a_real_server_finding_its_own_value_is_an_acquisition_too() {
    let server = RedisServer::start();
    let node = RedisNode::connect(&server.url()).unwrap();
    let entry = Entry::new(NAME, "owner".into(), ms(600_000));
    server.command(&["SET", NAME, "owner", "PX", "60000"]);
    let vote = node.acquire(&entry).await.unwrap();
    assert_eq!(vote, AcquireVote::Acquired { number: None });
    assert!(server.pttl(NAME) <= 60_000);
}

/// How many of these commands the server has received.
fn calls(server: &RedisServer, command: &str) -> u64 {
    let stats: String = server.query(&["INFO", "commandstats"]);
    let prefix = format!("cmdstat_{command}:calls=");
    stats
        .lines()
        .find_map(|line| line.strip_prefix(&*prefix)?.split(',').next()?.parse().ok())
        .unwrap_or(0)
}

#[tokio::test]
async fn an_acquisition_whose_answer_is_lost_is_not_sent_again() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port()).await;
    let node = RedisNode::connect(&proxy.url()).unwrap();
    // This makes the connection. Before its first lock, a server is asked whether it can release
    // one.
    let first = Entry::new("first", "owner".into(), ms(60_000));
    node.acquire(&first).await.unwrap();
    node.inspect(NAME).await.unwrap();
    assert_eq!(calls(&server, "set"), 1);

    proxy.hold_replies();
    let entry = Entry::new(NAME, "owner".into(), ms(60_000));
    let acquire = node.acquire(&entry);
    let reset = async {
        wait::until_async("the SET", Duration::from_secs(10), async || {
            calls(&server, "set") == 2
        })
        .await;
        proxy.reset();
        proxy.pass();
    };
    let (result, ()) = tokio::join!(acquire, reset);
    assert!(
        matches!(result, Err(NodeError::Disconnected(_))),
        "{result:?}"
    );
    // The answer to this command comes after those to all commands sent before.
    node.inspect(NAME).await.unwrap();
    assert_eq!(calls(&server, "set"), 2);
}
