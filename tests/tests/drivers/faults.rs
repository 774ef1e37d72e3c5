//! A network that breaks between a driver and its server.

use std::time::Duration;

use redsync::{NodeError, node::Node};
use redsync_tests::{Proxy, RedisServer, wait::until_async};
use tokio::time::timeout;

use crate::{acquire, deadpool, entry, fred, manager};

const LIMIT: Duration = Duration::from_secs(10);

fn sets(server: &RedisServer) -> u32 {
    let stats: String = server.query(&["INFO", "commandstats"]);
    let calls = stats
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_set:calls="));
    calls.map_or(0, |calls| {
        calls
            .split(',')
            .next()
            .expect("a number")
            .parse()
            .expect("a number")
    })
}

/// A command whose answer is lost is not sent again: the server has received it once, and the caller
/// gets an error that leaves the outcome open.
async fn sends_once<N: Node>(node: &N, server: &RedisServer, proxy: &Proxy) {
    acquire(node, &entry("a", "value")).await;
    let before = sets(server);
    proxy.hold_replies();
    let lost = entry("b", "value");
    let mut pending = std::pin::pin!(node.acquire(&lost));
    let early = timeout(Duration::from_millis(100), pending.as_mut()).await;
    assert!(early.is_err(), "an answer that was held: {early:?}");
    until_async("the command arrives", LIMIT, async || {
        sets(server) == before + 1
    })
    .await;
    proxy.reset();
    proxy.pass();
    let error = timeout(LIMIT, pending)
        .await
        .expect("an end")
        .expect_err("an error");
    assert!(matches!(error, NodeError::Disconnected(_)), "{error:?}");

    until_async("the node is back", LIMIT, async || {
        node.inspect("a").await.is_ok()
    })
    .await;
    assert_eq!(sets(server), before + 1, "sent again");
    server.flush();
}

#[tokio::test]
async fn nothing_is_sent_twice() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port()).await;
    sends_once(&deadpool(&proxy.url()), &server, &proxy).await;
    sends_once(&manager(&proxy.url()), &server, &proxy).await;
    sends_once(&fred(&proxy.url()).await, &server, &proxy).await;
}

/// An acquisition whose caller has left is carried out before the release that follows it.
async fn stays_in_order<N: Node>(node: &N, server: &RedisServer, proxy: &Proxy) {
    acquire(node, &entry("a", "value")).await;
    proxy.hold_requests();
    let late = entry("b", "value");
    let unanswered = timeout(Duration::from_millis(50), node.acquire(&late)).await;
    assert!(unanswered.is_err(), "{unanswered:?}");
    let release = node.release(&late);
    let mut release = std::pin::pin!(release);
    let early = timeout(Duration::from_millis(50), release.as_mut()).await;
    assert!(early.is_err(), "{early:?}");
    proxy.pass();
    timeout(LIMIT, release)
        .await
        .expect("an end")
        .expect("an answer");
    assert_eq!(server.keys(), ["a"], "the release was first");
    server.flush();
}

#[tokio::test]
async fn a_release_stays_behind_its_acquisition() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port()).await;
    stays_in_order(&deadpool(&proxy.url()), &server, &proxy).await;
    stays_in_order(&manager(&proxy.url()), &server, &proxy).await;
    stays_in_order(&fred(&proxy.url()).await, &server, &proxy).await;
}

/// A server that has been demoted may be the wrong one. So the pool is asked for another connection,
/// which may lead elsewhere (by Sentinel, or because a host name has moved).
#[tokio::test]
async fn a_demoted_primary_is_abandoned() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port()).await;
    let node = deadpool(&proxy.url());
    acquire(&node, &entry("a", "value")).await;
    assert_eq!(proxy.connections(), 1);
    server.command(&["REPLICAOF", "127.0.0.1", &server.port().to_string()]);
    for _ in 0..2 {
        let error = node
            .acquire(&entry("b", "value"))
            .await
            .expect_err("an error");
        assert!(error.to_string().contains("READONLY"), "{error}");
    }
    assert_eq!(proxy.connections(), 2);
    server.command(&["REPLICAOF", "NO", "ONE"]);
    acquire(&node, &entry("b", "value")).await;
}
