//! Releases that a server refuses for a while.

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use redsync::{LockError, Redsync, Released, node::AnyNode};
use redsync_tests::{RedisServer, wait::until_async};
use tokio::task::spawn_blocking;

use super::{deadpool, fred, free_port, manager};

const SOON: Duration = Duration::from_secs(10);

/// A node of each driver on the server.
async fn nodes(server: &RedisServer) -> [AnyNode; 3] {
    let url = server.url();
    [
        deadpool(&url).into(),
        manager(&url).into(),
        fred(&url).await.into(),
    ]
}

/// Asserts that a lock is released though the server refuses that at first: with an error that has
/// this code, from `begin` to `end`.
async fn is_released<T>(
    server: &RedisServer,
    code: &str,
    begin: impl AsyncFn() -> T,
    end: impl AsyncFn(T),
) {
    for node in nodes(server).await {
        let redsync = Redsync::new([node]).unwrap();
        let guard = redsync.mutex("a").lock().await.unwrap();
        let begun = begin().await;
        let error = guard.release().await.unwrap_err();
        assert!(error.to_string().contains(code), "{error}");
        let refused = server.try_command(&["SET", "b", "c"]).unwrap_err();
        assert_eq!(refused.code(), Some(code));
        end(begun).await;
        let drained = tokio::time::timeout(SOON, redsync.drain()).await;
        drained.expect("it is repeated soon");
        assert_eq!(server.keys(), [""; 0], "the key is left");
    }
}

#[tokio::test]
async fn a_release_that_a_replica_refuses_for_a_while_is_repeated() {
    let (server, port) = (RedisServer::start(), free_port().to_string());
    is_released(
        &server,
        "READONLY",
        async || drop(server.command(&["REPLICAOF", "127.0.0.1", &port])),
        async |()| drop(server.command(&["REPLICAOF", "NO", "ONE"])),
    )
    .await;
}

#[tokio::test]
async fn a_release_that_a_server_without_replicas_refuses_is_repeated() {
    let server = RedisServer::start();
    let set =
        |replicas| drop(server.command(&["CONFIG", "SET", "min-replicas-to-write", replicas]));
    set("1");
    let delete = ["EVAL", "return redis.call('DEL', KEYS[1])", "1", "a"];
    if server.try_command(&delete).is_ok() {
        // Early versions of Redis 6.2 refuse no scripts for this, so the release succeeds.
        return;
    }
    set("0");
    is_released(
        &server,
        "NOREPLICAS",
        async || set("1"),
        async |()| set("0"),
    )
    .await;
}

const SNAPSHOT: &str = "snapshot.rdb";

/// Returns a server that can be made to fail to persist its data, and the path of its snapshot. The user
/// of the tests may write everywhere, so a directory is put in the place of the snapshot.
fn with_snapshots() -> (RedisServer, PathBuf) {
    let server = RedisServer::start_with(&["--dbfilename", SNAPSHOT]);
    server.command(&["CONFIG", "SET", "save", "3600 1000000"]);
    let [_, folder]: [String; 2] = server.query(&["CONFIG", "GET", "dir"]);
    (server, Path::new(&folder).join(SNAPSHOT))
}

/// Lets the server save a snapshot, and waits for the result.
async fn save(server: &RedisServer, result: &str) {
    server.command(&["BGSAVE"]);
    let result = format!("rdb_last_bgsave_status:{result}");
    until_async("the end of a snapshot", SOON, async || {
        let state: String = server.query(&["INFO", "persistence"]);
        state.contains("rdb_bgsave_in_progress:0") && state.contains(&result)
    })
    .await;
}

#[tokio::test]
async fn a_release_that_a_server_refuses_because_it_cannot_persist_is_repeated() {
    let (server, snapshot) = with_snapshots();
    is_released(
        &server,
        "MISCONF",
        async || {
            fs::create_dir(&snapshot).unwrap();
            save(&server, "err").await;
        },
        async |()| {
            fs::remove_dir(&snapshot).unwrap();
            save(&server, "ok").await;
            fs::remove_file(&snapshot).unwrap();
        },
    )
    .await;
}

#[tokio::test]
async fn a_server_that_cannot_persist_acquires_no_lock_until_it_can() {
    let (server, snapshot) = with_snapshots();
    // A client of fred connects to no server in this state.
    let services = nodes(&server)
        .await
        .map(|node| Redsync::new([node]).unwrap());
    fs::create_dir(&snapshot).unwrap();
    save(&server, "err").await;
    for redsync in &services {
        let error = redsync.mutex("a").try_lock().await.unwrap_err();
        assert!(matches!(error, LockError::Unavailable(_)), "{error}");
        let shown = error.to_string();
        assert!(
            shown.contains("cannot persist its data: MISCONF"),
            "{shown}"
        );
    }
    fs::remove_dir(&snapshot).unwrap();
    save(&server, "ok").await;
    for redsync in &services {
        let guard = redsync.mutex("a").try_lock().await.unwrap();
        assert_eq!(guard.release().await.unwrap(), Released::Held);
    }
}

#[tokio::test]
async fn a_release_that_a_busy_server_refuses_is_repeated() {
    // The older name of busy-reply-threshold, which all versions know.
    let server = RedisServer::start_with(&["--lua-time-limit", "1"]);
    let run = || {
        let client = redis::Client::open(server.url()).unwrap();
        let mut connection = client.get_connection().unwrap();
        let mut endless = redis::cmd("EVAL");
        endless.arg("while true do end").arg(0);
        spawn_blocking(move || endless.query::<()>(&mut connection))
    };
    is_released(
        &server,
        "BUSY",
        async || {
            let running = run();
            until_async("it is busy", SOON, async || {
                server.try_command(&["GET", "a"]).is_err()
            })
            .await;
            [running]
        },
        async |[running]| {
            server.command(&["SCRIPT", "KILL"]);
            running.await.unwrap().unwrap_err();
        },
    )
    .await;
}
