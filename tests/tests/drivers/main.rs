//! Nodes on real servers: their keys, also beside clients of go-redsync, their errors and URLs, and
//! nodes behind Sentinel and Cluster.

mod client_name;
mod cluster;
mod configured;
mod errors;
mod faults;
mod interop;
mod keys;
mod not_a_lock;
mod permissions;
mod pools;
mod probe;
mod refusals;
mod refused_releases;
mod restarts;
mod runtimes;
mod sentinel;
mod silence;
mod strange;
mod tls;
mod together;
mod urls;

use std::time::Duration;

use fred::prelude::{Builder, ClientLike, Config, ReconnectPolicy};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redsync::node::{
    AcquireVote, Entry, Node, ReleaseVote,
    redis::{Deadpool, Fred, Multiplexed, RedisNode},
};
use redsync_tests::RedisServer;

/// A node on a connection manager that does not retry for long, as the docs recommend.
fn manager(url: &str) -> RedisNode<Multiplexed<ConnectionManager>> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(0)
        .set_response_timeout(None);
    let client = redis::Client::open(url).expect("a URL");
    let manager = ConnectionManager::new_lazy_with_config(client, config).expect("a manager");
    RedisNode::new(Multiplexed::new("a-manager:6379", manager))
}

async fn fred(url: &str) -> RedisNode<Fred> {
    let config = Config::from_url(url).expect("a URL");
    let client = Builder::from_config(config)
        .set_policy(ReconnectPolicy::new_constant(0, 20))
        .build()
        .expect("a client");
    client.init().await.expect("a connection");
    RedisNode::new(Fred::new("fred:6379", client))
}

fn deadpool(url: &str) -> RedisNode<Deadpool> {
    RedisNode::connect(url).expect("a URL")
}

fn entry(name: &str, value: &str) -> Entry {
    Entry::new(name, value.into(), Duration::from_secs(30))
}

async fn acquire<N: Node>(node: &N, entry: &Entry) {
    let vote = node.acquire(entry).await.expect("an answer");
    assert!(matches!(vote, AcquireVote::Acquired { .. }), "{vote:?}");
}

async fn refused<N: Node>(node: &N, entry: &Entry) {
    let vote = node.acquire(entry).await.expect("an answer");
    let is_refused = matches!(
        vote,
        AcquireVote::Taken { .. } | AcquireVote::Reserved { .. }
    );
    assert!(is_refused, "{vote:?}");
}

async fn release<N: Node>(node: &N, entry: &Entry) {
    let vote = node.release(entry).await.expect("an answer");
    assert_eq!(vote, ReleaseVote::Released);
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    RedisServer::start().port()
}

/// The program that [`redsync_tests::RedisServer`] runs, too.
fn binary() -> String {
    std::env::var("REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}
