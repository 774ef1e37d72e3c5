//! A whole Cluster as one node.

use std::ops::RangeInclusive;

use deadpool_redis::cluster::{Config, Runtime};
use redis::cluster::ClusterClientBuilder;
use redsync::node::{
    Node, contract,
    redis::{Deadpool, Multiplexed, RedisNode},
};
use redsync_tests::{RedisServer, wait};

use crate::{acquire, entry, release};

/// A command for ranges is new in Redis 7.0.
fn give_slots(server: &RedisServer, slots: RangeInclusive<u16>) {
    let slots: Vec<_> = slots.map(|slot| slot.to_string()).collect();
    let words = ["CLUSTER", "ADDSLOTS"];
    let words: Vec<_> = (words.into_iter().chain(slots.iter().map(String::as_str))).collect();
    server.command(&words);
}

/// A cluster of one server that has all slots.
pub(crate) fn single() -> RedisServer {
    // A server that has met no other does not know its own address.
    let args = [
        "--cluster-enabled",
        "yes",
        "--cluster-announce-ip",
        "127.0.0.1",
    ];
    let server = RedisServer::start_with(&args);
    give_slots(&server, 0..=16383);
    wait::until(
        "the cluster is up",
        std::time::Duration::from_secs(10),
        || {
            let info: String = server.query(&["CLUSTER", "INFO"]);
            info.contains("cluster_state:ok")
        },
    );
    server
}

#[tokio::test]
async fn a_pool_of_deadpool_keeps_the_contract() {
    let server = single();
    let pool = Config::from_urls([server.url()]).create_pool(Some(Runtime::Tokio1));
    let driver = Deadpool::new("a-cluster", pool.expect("a pool"));
    contract::driver(&driver).await;
    let node = RedisNode::new(driver);
    contract::check(&node).await;
    assert_eq!(
        node.identity().await.expect("an answer"),
        None,
        "a cluster has many run ids"
    );
}

#[tokio::test]
async fn a_connection_of_redis_rs_keeps_the_contract() {
    let server = single();
    // Without retries it sends nothing twice.
    let client = ClusterClientBuilder::new([server.url()]).retries(0).build();
    let connection = client.expect("a client").get_async_connection().await;
    let driver = Multiplexed::new("a-cluster", connection.expect("a connection"));
    contract::driver(&driver).await;
    contract::check(&RedisNode::new(driver)).await;
}

#[tokio::test]
async fn a_client_of_fred_keeps_the_contract() {
    let server = single();
    let node = crate::fred(&server.url().replace("redis:", "redis-cluster:")).await;
    contract::check(&node).await;
}

#[tokio::test]
async fn a_name_is_locked_on_the_server_of_its_slot() {
    let servers = [
        RedisServer::start_with(&["--cluster-enabled", "yes"]),
        RedisServer::start_with(&["--cluster-enabled", "yes"]),
    ];
    give_slots(&servers[0], 0..=8191);
    give_slots(&servers[1], 8192..=16383);
    let port = servers[1].port().to_string();
    servers[0].command(&["CLUSTER", "SET-CONFIG-EPOCH", "1"]);
    servers[1].command(&["CLUSTER", "SET-CONFIG-EPOCH", "2"]);
    servers[0].command(&["CLUSTER", "MEET", "127.0.0.1", &port]);
    wait::until(
        "the cluster is up",
        std::time::Duration::from_secs(20),
        || {
            servers.iter().all(|server| {
                let info: String = server.query(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains("cluster_slots_assigned:16384")
            })
        },
    );
    let pool = Config::from_urls([servers[0].url()]).create_pool(Some(Runtime::Tokio1));
    let node = RedisNode::new(Deadpool::new("a-cluster", pool.expect("a pool")));
    // CLUSTER KEYSLOT: "a" is 15495, "b" is 3300.
    for name in ["a", "b"] {
        let fenced = entry(name, "value").with_fencing(true);
        acquire(&node, &fenced).await;
        let here = |server: &RedisServer| server.keys().contains(&name.to_owned());
        assert_eq!(servers.iter().filter(|server| here(server)).count(), 1);
        release(&node, &fenced).await;
    }
    assert_eq!(servers[0].keys(), ["{b}:fence"]);
    assert_eq!(servers[1].keys(), ["{a}:fence"]);
}
