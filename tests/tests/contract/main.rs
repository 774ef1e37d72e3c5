//! The contract of nodes and drivers, checked on every node and driver of the crate.

mod agreement;
mod reservations;

use std::time::Duration;

use fred::{
    prelude::{Builder, ClientLike, Config},
    types::RespVersion,
};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redsync::{
    NodeError,
    node::{
        AcquireVote, Entry, MemoryNode, Node, NodeWrapper, WakeUp, contract,
        redis::{Deadpool, Driver, Fred, Multiplexed, RedisNode},
    },
};
use redsync_tests::RedisServer;
use tokio::time::sleep;

async fn check<D: Driver>(driver: D) {
    contract::driver(&driver).await;
    contract::check(&RedisNode::new(driver)).await;
}

#[tokio::test(start_paused = true)]
async fn the_memory_node_keeps_the_contract() {
    contract::check(&MemoryNode::new()).await;
}

struct Wrapping(MemoryNode);

impl NodeWrapper for Wrapping {
    type Inner = MemoryNode;

    fn inner(&self) -> &MemoryNode {
        &self.0
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_wraps_another_and_overrides_nothing_keeps_the_contract() {
    let node = Wrapping(MemoryNode::new());
    contract::check(&node).await;
    assert_eq!(Node::address(&node), node.0.address());
    let names = ["free".into()];
    assert_eq!(Node::watch(&node, &names).await.unwrap(), WakeUp::Free);
}

/// A node on a busy machine: some acquisitions arrive when a reservation is over, and some are
/// answered before it is known who holds the name.
struct Busy(MemoryNode);

impl NodeWrapper for Busy {
    type Inner = MemoryNode;

    fn inner(&self) -> &MemoryNode {
        &self.0
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        match fastrand::u8(..4) {
            0 => sleep(Duration::from_secs(1)).await,
            1 if entry.repeated && self.0.inspect(&entry.names[0]).await?.is_some() => {
                return Ok(AcquireVote::Taken { remaining: None });
            }
            _ => {}
        }
        self.0.acquire(entry).await
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_on_a_busy_machine_keeps_the_contract_of_reservations() {
    for seed in 0..30 {
        fastrand::seed(seed);
        contract::let_exclusive_enter(&Busy(MemoryNode::new())).await;
    }
}

#[tokio::test]
async fn deadpool_keeps_the_contract() {
    let server = RedisServer::start();
    check(Deadpool::connect(&server.url()).expect("a URL")).await;
}

#[tokio::test]
async fn deadpool_with_resp3_keeps_the_contract() {
    let server = RedisServer::start();
    let url = format!("{}?protocol=resp3", server.url());
    check(Deadpool::connect(&url).expect("a URL")).await;
}

#[tokio::test]
async fn a_multiplexed_connection_keeps_the_contract() {
    let server = RedisServer::start();
    check(Multiplexed::new(
        server.address(),
        server.connection().await,
    ))
    .await;
}

#[tokio::test]
async fn a_connection_manager_keeps_the_contract() {
    let server = RedisServer::start();
    let client = redis::Client::open(server.url()).expect("a URL");
    let config = ConnectionManagerConfig::new().set_response_timeout(None);
    let manager = ConnectionManager::new_lazy_with_config(client, config);
    check(Multiplexed::new(server.address(), manager.expect("a URL"))).await;
}

async fn fred(url: &str) -> Fred {
    let config = Config::from_url(url).expect("a URL");
    let client = Builder::from_config(config).build().expect("a client");
    client.init().await.expect("a connection");
    Fred::new("fred", client)
}

#[tokio::test]
async fn a_client_of_fred_keeps_the_contract() {
    let server = RedisServer::start();
    check(fred(&server.url()).await).await;
}

#[tokio::test]
async fn a_client_of_fred_with_resp3_keeps_the_contract() {
    let server = RedisServer::start();
    let mut config = Config::from_url(&server.url()).expect("a URL");
    config.version = RespVersion::RESP3;
    let client = Builder::from_config(config).build().expect("a client");
    client.init().await.expect("a connection");
    check(Fred::new("fred", client)).await;
}
