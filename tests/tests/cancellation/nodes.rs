//! The futures of nodes and drivers. A dropped command may or may not be carried out, and does not
//! disturb the commands after it.

use std::time::Duration;

use fred::prelude::{Builder, ClientLike, Config};
use redsync::{
    FencingToken,
    node::{
        Entry, Node, NodeWrapper, Reporters,
        redis::{Deadpool, Driver, Fred, Multiplexed, RedisNode, Reply},
    },
};
use redsync_tests::RedisServer;
use tokio::time::timeout;

use super::dropping::poll_and_drop;

/// The functions whose futures are dropped here.
pub(crate) const COVERS: &[&str] = &[
    "Driver::command",
    "Node::acquire",
    "Node::extend",
    "Node::identity",
    "Node::inspect",
    "Node::raise",
    "Node::release",
    "Node::release_after",
    "Node::watch",
    "Node::watch_acquired",
    "Node::watch_counted",
    "NodeWrapper::acquire",
    "NodeWrapper::extend",
    "NodeWrapper::identity",
    "NodeWrapper::inspect",
    "NodeWrapper::raise",
    "NodeWrapper::release",
    "NodeWrapper::release_after",
    "NodeWrapper::watch",
    "NodeWrapper::watch_acquired",
];

const EXPIRY: Duration = Duration::from_secs(60);

/// A key that nobody touches.
const KNOWN: &str = "known";

/// After this time, a watch that reports nothing ends.
const WATCHED: Duration = Duration::from_millis(50);

struct Wrapping<D>(RedisNode<D>);

impl<D: Driver> NodeWrapper for Wrapping<D> {
    type Inner = RedisNode<D>;

    fn inner(&self) -> &RedisNode<D> {
        &self.0
    }
}

/// How many operations [`carry_out`] knows.
const OPERATIONS: usize = 11;

/// Carries out one of the operations of a node.
async fn carry_out<N: Node>(node: &N, operation: usize, name: &str) {
    let names = [name.into()];
    let plain = Entry::new(name, "value".into(), EXPIRY);
    let fenced = plain.clone().with_fencing(true);
    match operation {
        0 => drop(node.identity().await.expect("an answer")),
        1 => drop(node.acquire(&plain).await.expect("an answer")),
        2 => drop(node.acquire(&fenced).await.expect("an answer")),
        3 => drop(
            node.raise(&fenced, FencingToken::new(7))
                .await
                .expect("an answer"),
        ),
        4 => drop(node.extend(&plain, None, true).await.expect("an answer")),
        5 => drop(node.release_after(&plain, EXPIRY).await.expect("an answer")),
        6 => drop(node.release(&fenced).await.expect("an answer")),
        7 => drop(node.inspect(name).await.expect("an answer")),
        // Some of these nodes have no wake-ups.
        8 => drop(timeout(WATCHED, node.watch(&names)).await),
        9 => drop(timeout(WATCHED, node.watch_acquired(&names)).await),
        10 => {
            let reporters = Reporters::default();
            drop(timeout(WATCHED, node.watch_counted(&names, &reporters)).await);
        }
        _ => unreachable!("there are no more operations"),
    }
}

/// Drops every operation at each of its awaits. After that, the node still answers what it is
/// asked.
async fn disturb<D: Driver>(server: &RedisServer, node: RedisNode<D>) {
    let known = Entry::new(KNOWN, "value of another".into(), EXPIRY);
    node.acquire(&known).await.expect("an answer");
    let node = Wrapping(node);
    for operation in 0..OPERATIONS {
        let mut polls = 0;
        loop {
            let name = format!("{operation}:{polls}");
            let ended = poll_and_drop(polls, carry_out(&node, operation, &name)).await;
            let found = Node::inspect(&node, KNOWN).await.expect("an answer");
            let found = found.expect("a holder").holders;
            assert_eq!(found[0].value, known.value, "operation {name}");
            if ended {
                assert!(polls > 0);
                break;
            }
            polls += 1;
        }
    }
    server.flush();
}

/// The same for a driver.
async fn disturb_driver<D: Driver>(driver: &D) {
    for polls in 0.. {
        let text = format!("text {polls}");
        let ended = poll_and_drop(polls, driver.command(&[b"ECHO", b"other"])).await;
        let reply = driver.command(&[b"ECHO", text.as_bytes()]).await;
        assert!(reply.expect("an answer") == Reply::Bytes(text.into_bytes()));
        if ended {
            break;
        }
    }
}

#[tokio::test]
async fn on_deadpool_dropped_commands_do_not_disturb_others() {
    let server = RedisServer::start();
    disturb_driver(&Deadpool::connect(&server.url()).expect("a URL")).await;
    disturb(&server, RedisNode::connect(&server.url()).expect("a URL")).await;
}

#[tokio::test]
async fn on_a_multiplexed_connection_dropped_commands_do_not_disturb_others() {
    let server = RedisServer::start();
    let connection = server.connection().await;
    let driver = || Multiplexed::new(server.address(), connection.clone());
    disturb_driver(&driver()).await;
    let node = RedisNode::new(driver()).with_wake_ups(&server.url());
    disturb(&server, node.expect("a URL")).await;
}

#[tokio::test]
async fn on_fred_dropped_commands_do_not_disturb_others() {
    let server = RedisServer::start();
    let config = Config::from_url(&server.url()).expect("a URL");
    let client = Builder::from_config(config).build().expect("a client");
    client.init().await.expect("a connection");
    disturb_driver(&Fred::new("fred", client.clone())).await;
    disturb(&server, RedisNode::new(Fred::new("fred", client))).await;
}
