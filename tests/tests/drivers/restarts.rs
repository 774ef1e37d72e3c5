//! Servers that are killed and started again: a command on a connection that had ended was not sent.

use std::time::Duration;

use futures_util::FutureExt;
use redsync::Redsync;
use redsync_tests::{Proxy, RedisServer};
use tokio::task::JoinSet;

const ROUNDS: usize = 8;

fn durable() -> RedisServer {
    RedisServer::start_with(&["--appendonly", "yes", "--appendfsync", "always"])
}

fn connect(server: &RedisServer) -> Redsync {
    let redsync = Redsync::connect([server.url()]).unwrap();
    redsync
        .with_defaults(|mutex| mutex.with_node_timeout(Duration::from_secs(5)))
        .unwrap()
}

/// Tasks that lock without a pause.
fn busy(redsync: &Redsync) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    for number in 0..8 {
        let mutex = redsync.mutex(format!("busy:{number}"));
        tasks.spawn(async move {
            loop {
                mutex.lock().await.unwrap().release().await.unwrap();
            }
        });
    }
    tasks
}

/// The first command after a restart, within a second of the last one, is sent over a new connection at
/// once.
async fn first_commands_succeed(server: &RedisServer, redsync: &Redsync) {
    let mutex = redsync.mutex("a");
    for round in 0..ROUNDS {
        let guard = mutex.try_lock().await;
        let guard = guard.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        server.restart();
        let extended = guard.extend().await;
        extended.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        server.restart();
        let released = guard.release().await;
        released.unwrap_or_else(|error| panic!("round {round}: {error:?}"));
        server.restart();
    }
}

#[tokio::test]
async fn the_first_command_after_a_restart_succeeds() {
    let server = durable();
    first_commands_succeed(&server, &connect(&server)).await;
}

#[tokio::test]
async fn the_first_command_after_a_restart_succeeds_beside_a_busy_service() {
    let (server, other) = (durable(), RedisServer::start());
    let mut tasks = busy(&connect(&other));
    first_commands_succeed(&server, &connect(&server)).await;
    tasks.shutdown().await;
}

#[tokio::test]
async fn an_extension_succeeds_though_its_connection_ends() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port()).await;
    let redsync = Redsync::connect([proxy.url()]).unwrap();
    let guard = redsync.mutex("a").lock().await.unwrap();
    proxy.hold_requests();
    let mut extends = Box::pin(guard.extend());
    assert!((&mut extends).now_or_never().is_none());
    // Now it has been sent.
    tokio::task::yield_now().await;
    assert!((&mut extends).now_or_never().is_none());
    proxy.reset();
    proxy.pass();
    (&mut extends).await.unwrap();
    drop(extends);
    guard.release().await.unwrap();
}
