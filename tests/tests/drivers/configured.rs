//! Servers with unusual configurations.

use std::time::Duration;

use redsync::{Redsync, node::contract};
use redsync_tests::{RedisServer, wait::until_async};

use crate::{deadpool, manager};

/// Before Redis 7.0, a server could be told to replicate scripts and not their effects. It then refuses
/// all writes after `TIME`. Newer servers have no such setting.
#[tokio::test]
async fn a_server_that_replicates_scripts_keeps_the_contract() {
    let server = RedisServer::start();
    let _ = server.try_command(&["CONFIG", "SET", "lua-replicate-commands", "no"]);
    contract::check(&deadpool(&server.url())).await;
}

#[tokio::test]
async fn a_connection_that_speaks_resp3_keeps_the_contract() {
    let server = RedisServer::start();
    let url = format!("{}?protocol=resp3", server.url());
    contract::check(&deadpool(&url)).await;
    contract::check(&manager(&url)).await;
}

/// An administrator takes commands away by renaming them.
#[tokio::test]
async fn a_server_without_commands_that_a_lock_can_do_without_keeps_the_contract() {
    let args = ["EVALSHA", "SCRIPT", "CLIENT", "HELLO", "EXISTS"].map(|command| {
        [
            "--rename-command".to_owned(),
            command.to_owned(),
            format!("no-{command}"),
        ]
    });
    let args: Vec<_> = args.iter().flatten().map(String::as_str).collect();
    let server = RedisServer::start_with(&args);
    server.try_command(&["EVALSHA", "a", "0"]).unwrap_err();
    contract::check(&deadpool(&server.url())).await;
}

/// The server says so on a connection that it then closes.
#[tokio::test]
async fn a_server_with_too_many_clients_is_used_as_soon_as_it_has_fewer() {
    let server = RedisServer::start();
    // The test talks to the server over a connection of its own.
    server.command(&["CONFIG", "SET", "maxclients", "1"]);
    let url = server.url();
    let redsync = Redsync::new([deadpool(&url)]).unwrap();
    for _ in 0..3 {
        let error = redsync.mutex("a").try_lock().await.unwrap_err();
        let votes = error.votes().expect("votes");
        assert_eq!(votes.granted(), 0, "{votes}");
    }
    server.command(&["CONFIG", "SET", "maxclients", "100"]);
    let soon = Duration::from_secs(10);
    until_async("the server is used", soon, async || {
        redsync.mutex("a").try_lock().await.is_ok()
    })
    .await;
    redsync.drain().await;
    assert!(server.keys().is_empty());
}
