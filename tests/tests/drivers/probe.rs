//! A probe tests what a lock needs, on servers that answer and still cannot keep one.

use std::time::Duration;

use redsync::{Redsync, Vote};
use redsync_tests::{Proxy, RedisServer, RefusingProxy, Servers};
use tokio::time::Instant;

/// With so much patience that a server on a busy machine answers in time.
fn connect(urls: impl IntoIterator<Item = String>) -> Redsync {
    let redsync = Redsync::connect(urls).unwrap();
    let patient = redsync.with_defaults(|mutex| mutex.with_node_timeout(Duration::from_secs(3)));
    patient.unwrap()
}

/// Asserts that a probe finds the first of three servers unfit for locks, for this reason, and leaves
/// no key behind.
async fn is_found(servers: &Servers, first: String, reason: &str) {
    let others = servers[1..].iter().map(RedisServer::url);
    let redsync = connect([first].into_iter().chain(others));
    let votes = redsync.probe().await;
    let mut failed = votes
        .iter()
        .filter(|node| !matches!(node.vote(), Vote::Granted));
    let node = failed.next().expect(reason);
    let Vote::Failed(error) = node.vote() else {
        panic!("{votes}");
    };
    assert!(error.to_string().contains(reason), "{error}");
    assert!(failed.next().is_none(), "{votes}");
    assert_eq!(votes.granted(), 2);
    redsync.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn healthy_servers_pass_and_keep_nothing() {
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    for redsync in [
        redsync.clone(),
        redsync
            .with_defaults(|mutex| mutex.with_fencing(true).shared())
            .unwrap(),
    ] {
        for _ in 0..3 {
            let votes = redsync.probe().await;
            assert_eq!(votes.granted(), 3, "{votes}");
            redsync.drain().await;
            servers.assert_no_keys();
        }
    }
}

#[tokio::test]
async fn probes_at_the_same_time_do_not_meet() {
    let servers = Servers::start(3);
    let probes = (0..50).map(|_| {
        let redsync = connect(servers.urls());
        async move { redsync.probe().await }
    });
    for votes in futures_util::future::join_all(probes).await {
        assert_eq!(votes.granted(), 3, "{votes}");
    }
}

#[tokio::test]
async fn a_replica_is_found() {
    let servers = Servers::start(3);
    let primary = RedisServer::start();
    servers[0].command(&["REPLICAOF", "127.0.0.1", &primary.port().to_string()]);
    is_found(&servers, servers[0].url(), "read-only").await;
}

#[tokio::test]
async fn a_full_server_is_found() {
    let servers = Servers::start(3);
    servers[0].command(&["CONFIG", "SET", "maxmemory", "1"]);
    is_found(&servers, servers[0].url(), "out of memory").await;
}

#[tokio::test]
async fn a_server_that_lacks_replicas_is_found() {
    let servers = Servers::start(3);
    servers[0].command(&["CONFIG", "SET", "min-replicas-to-write", "1"]);
    is_found(&servers, servers[0].url(), "NOREPLICAS").await;
}

#[tokio::test]
async fn a_server_that_cannot_persist_is_found() {
    let servers = Servers::start_with(3, &["--dbfilename", "taken"]);
    servers[0].command(&["CONFIG", "SET", "save", "3600 1"]);
    // A directory in the place of the file makes each save fail.
    let directory: Vec<String> = servers[0].query(&["CONFIG", "GET", "dir"]);
    std::fs::create_dir(format!("{}/taken", directory[1])).unwrap();
    let _ = servers[0].try_command(&["BGSAVE"]);
    redsync_tests::wait::until("a failed save", Duration::from_secs(10), || {
        let info: String = servers[0].query(&["INFO", "persistence"]);
        info.contains("rdb_last_bgsave_status:err")
    });
    is_found(&servers, servers[0].url(), "cannot persist").await;
}

#[tokio::test]
async fn a_server_without_scripts_is_found() {
    let servers = Servers::start(3);
    let commands = ["EVAL", "EVALSHA", "DELIFEQ", "DELEX"];
    let proxy = RefusingProxy::start(servers[0].port(), &commands, "DENIED no Lua here");
    is_found(&servers, proxy.url(), "cannot release locks").await;
}

#[tokio::test]
async fn a_user_who_may_not_use_the_key_is_found() {
    let servers = Servers::start(3);
    servers[0].command(&["ACL", "SETUSER", "app", "on", ">secret", "~shop:*", "+@all"]);
    let url = format!("redis://app:secret@{}", servers[0].address());
    is_found(&servers, url.clone(), "permission").await;
    let redsync = Redsync::connect([url]).unwrap();
    let redsync = redsync
        .with_defaults(|mutex| mutex.with_key_prefix("shop:"))
        .unwrap();
    let votes = redsync.probe().await;
    assert_eq!(votes.granted(), 1, "{votes}");
    assert!(
        votes.name().starts_with("shop:redsync:probe:"),
        "{}",
        votes.name()
    );
}

#[tokio::test]
async fn a_server_that_is_down_or_hangs_is_found_within_the_limit() {
    let servers = Servers::start(3);
    let proxy = Proxy::start(servers[0].port()).await;
    proxy.hold_replies();
    let start = Instant::now();
    let others = servers[1..].iter().map(RedisServer::url);
    let redsync = Redsync::connect([proxy.url()].into_iter().chain(others)).unwrap();
    let votes = redsync.probe().await;
    println!("a probe with a server that hangs: {:?}", start.elapsed());
    assert_eq!(votes.granted(), 2, "{votes}");
    proxy.pass();
    redsync.drain().await;
    servers[0].kill();
    is_found(&servers, servers[0].url(), "cannot be reached").await;
}
