//! The primary that a Sentinel manages, as a node.

use std::{
    fs,
    process::{Child, Command, Stdio},
    time::Duration,
};

use deadpool_redis::sentinel::{Config, Runtime, SentinelServerType};
use redsync::node::{
    AcquireVote, Node, contract,
    redis::{Deadpool, RedisNode},
};
use redsync_tests::{RedisServer, wait};
use tempfile::TempDir;

use crate::{acquire, binary, entry, free_port, release};

const LIMIT: Duration = Duration::from_secs(20);

/// A Sentinel: a `redis-server` that runs as one.
struct Sentinel {
    port: u16,
    process: Child,
    _home: TempDir,
}

impl Sentinel {
    /// Starts a Sentinel that watches a primary, and fails over without the agreement of others.
    fn start(primary: &RedisServer) -> Self {
        let port = free_port();
        let home = tempfile::tempdir().expect("a directory");
        let config = home.path().join("sentinel.conf");
        let settings = format!(
            "port {port}\n\
             bind 127.0.0.1\n\
             dir {}\n\
             sentinel monitor locks 127.0.0.1 {} 1\n\
             sentinel down-after-milliseconds locks 500\n\
             sentinel failover-timeout locks 3000\n",
            home.path().display(),
            primary.port(),
        );
        fs::write(&config, settings).expect("a config file");
        let process = Command::new(binary())
            .arg(&config)
            .arg("--sentinel")
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("a Sentinel");
        Self {
            port,
            process,
            _home: home,
        }
    }

    fn primary(&self) -> Option<u16> {
        let client = redis::Client::open(("127.0.0.1", self.port)).ok()?;
        let mut connection = client.get_connection().ok()?;
        let mut ask = redis::cmd("SENTINEL");
        let ask = ask.arg(&["get-master-addr-by-name", "locks"]);
        let (_, port): (String, String) = ask.query(&mut connection).ok()?;
        port.parse().ok()
    }

    fn knows_a_replica(&self) -> bool {
        let client = redis::Client::open(("127.0.0.1", self.port)).expect("an address");
        let replicas = client.get_connection().and_then(|mut connection| {
            let mut ask = redis::cmd("SENTINEL");
            let ask = ask.arg(&["replicas", "locks"]);
            ask.query::<Vec<redis::Value>>(&mut connection)
        });
        replicas.is_ok_and(|replicas| !replicas.is_empty())
    }
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn node(sentinel: &Sentinel) -> RedisNode<Deadpool<deadpool_redis::sentinel::Pool>> {
    let urls = [format!("redis://127.0.0.1:{}", sentinel.port)];
    let config = Config::from_urls(urls, "locks".to_owned(), SentinelServerType::Master);
    let pool = config.create_pool(Some(Runtime::Tokio1)).expect("a pool");
    RedisNode::new(Deadpool::new("locks", pool))
}

#[tokio::test]
async fn the_primary_keeps_the_contract() {
    let primary = RedisServer::start();
    let sentinel = Sentinel::start(&primary);
    wait::until("the Sentinel answers", LIMIT, || {
        sentinel.primary().is_some()
    });
    let node = node(&sentinel);
    contract::check(&node).await;
    let id = node.identity().await.expect("an answer");
    assert_eq!(
        id,
        RedisNode::connect(&primary.url())
            .expect("a URL")
            .identity()
            .await
            .expect("an answer")
    );
}

#[tokio::test]
async fn after_a_failover_the_new_primary_is_asked() {
    let primary = RedisServer::start();
    let port = primary.port().to_string();
    let replica = RedisServer::start_with(&["--replicaof", "127.0.0.1", &port]);
    let sentinel = Sentinel::start(&primary);
    wait::until("the Sentinel knows the replica", LIMIT, || {
        sentinel.knows_a_replica()
    });
    wait::until("the replica is in step", LIMIT, || {
        replica
            .query::<String>(&["INFO", "replication"])
            .contains("master_link_status:up")
    });

    let node = node(&sentinel);
    acquire(&node, &entry("a", "value")).await;
    wait::until("the key is copied", LIMIT, || replica.get("a").is_some());
    primary.kill();
    wait::until_async("the replica is the primary", LIMIT, async || {
        sentinel.primary() == Some(replica.port())
    })
    .await;
    wait::until_async("the node follows", LIMIT, async || {
        node.acquire(&entry("b", "value")).await.is_ok()
    })
    .await;
    assert!(replica.keys().contains(&"b".to_owned()));
    let vote = node.acquire(&entry("a", "other")).await.expect("an answer");
    assert!(matches!(vote, AcquireVote::Taken { .. }), "{vote:?}");
    release(&node, &entry("a", "value")).await;
}
