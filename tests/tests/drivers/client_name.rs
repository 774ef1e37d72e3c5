//! Names of connections, by which an administrator finds them.

use std::time::Duration;

use deadpool_redis::Runtime;
use redsync::{
    Mutex, Redsync,
    node::{
        Node,
        redis::{Deadpool, Driver, RedisNode},
    },
};
use redsync_tests::{RedisServer, RefusingProxy, wait::until_async};
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

/// The names of the connections with the flag for client tracking, and of the others.
fn names(server: &RedisServer) -> (Vec<String>, Vec<String>) {
    // Both over the same connection.
    let own: u64 = server.query(&["CLIENT", "ID"]);
    let list: String = server.query(&["CLIENT", "LIST"]);
    let field = |line: &str, name: &str| {
        let value = line.split(' ').find_map(|field| field.strip_prefix(name));
        value.unwrap_or_default().to_owned()
    };
    let all = list
        .lines()
        .filter(|line| field(line, "id=") != own.to_string());
    let (tracking, others): (Vec<_>, Vec<_>) =
        all.partition(|line| field(line, "flags=").contains('t'));
    let names = |lines: Vec<&str>| lines.into_iter().map(|line| field(line, "name=")).collect();
    (names(tracking), names(others))
}

fn patient<N: Node>(node: N) -> Redsync {
    let redsync = Redsync::new([node]).unwrap();
    let redsync = redsync.with_defaults(|mutex| mutex.with_node_timeout(Duration::from_secs(3)));
    redsync.unwrap()
}

/// Makes both connections of a node, and uses them.
async fn works(mutex: &Mutex) {
    let guard = mutex.lock().await.unwrap();
    let other = mutex.clone().with_hand_over(0, Duration::ZERO);
    let waiter = tokio::spawn(other.lock_within(SOON));
    tokio::time::sleep(Duration::from_millis(20)).await;
    guard.release().await.unwrap();
    let next = timeout(SOON, waiter).await.expect("it gets the lock");
    next.unwrap().unwrap().release().await.unwrap();
}

async fn until_named<D: Driver>(server: &RedisServer, node: RedisNode<D>) {
    let redsync = patient(node);
    until_async("both connections are named", SOON, async || {
        works(&redsync.mutex("a")).await;
        names(server) == (vec!["orders".to_owned()], vec!["orders".to_owned()])
    })
    .await;
}

#[tokio::test]
async fn the_connections_for_commands_and_for_wake_ups_are_named() {
    let server = RedisServer::start();
    let node = RedisNode::connect(&server.url()).unwrap();
    until_named(&server, node.with_client_name("orders")).await;
}

#[tokio::test]
async fn a_connection_from_a_pool_of_the_service_is_named_in_whatever_order_the_node_is_made() {
    for wakes_first in [true, false] {
        let server = RedisServer::start();
        let config = deadpool_redis::Config::from_url(server.url());
        let pool = config.create_pool(Some(Runtime::Tokio1)).unwrap();
        let node = RedisNode::new(Deadpool::new("a-pool", pool));
        let node = if wakes_first {
            node.with_wake_ups(&server.url())
                .unwrap()
                .with_client_name("orders")
        } else {
            node.with_client_name("orders")
                .with_wake_ups(&server.url())
                .unwrap()
        };
        until_named(&server, node).await;
    }
}

#[tokio::test]
async fn a_connection_that_replaces_another_is_named_too() {
    let server = RedisServer::start();
    let node = RedisNode::connect(&server.url()).unwrap();
    let redsync = patient(node.with_client_name("orders"));
    works(&redsync.mutex("a")).await;
    server.command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    until_async("the new connection is named", SOON, async || {
        // The first lock may find the connection closed.
        if let Ok(guard) = redsync.mutex("a").try_lock().await {
            guard.release().await.unwrap();
        }
        names(&server).1 == ["orders"]
    })
    .await;
}

#[tokio::test]
async fn without_a_name_nothing_is_sent_for_it() {
    let server = RedisServer::start();
    let redsync = patient(RedisNode::connect(&server.url()).unwrap());
    works(&redsync.mutex("a")).await;
    let stats: String = server.query(&["INFO", "commandstats"]);
    assert!(!stats.contains("client|setname"), "{stats}");
}

#[tokio::test]
async fn a_lock_works_without_a_name_that_is_refused() {
    let server = RedisServer::start();
    // A space is not allowed.
    let node = RedisNode::connect(&server.url()).unwrap();
    let redsync = patient(node.with_client_name("my orders"));
    works(&redsync.mutex("a")).await;
    assert!(names(&server).1.iter().all(String::is_empty));

    let refused = ["CLIENT SETNAME"];
    for proxy in [
        RefusingProxy::start(server.port(), &refused, "ERR unknown command"),
        RefusingProxy::start(server.port(), &refused, "NOPERM no permissions"),
        RefusingProxy::closing(server.port(), &refused),
    ] {
        let node = RedisNode::connect(&proxy.url()).unwrap();
        let redsync = patient(node.with_client_name("orders"));
        works(&redsync.mutex("a")).await;
    }
}
