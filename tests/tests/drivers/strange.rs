//! Servers that close, kill, pause, move or do not speak the protocol.

use std::time::{Duration, Instant};

use redsync::{LockError, Redsync};
use redsync_tests::{RedisServer, Servers, wait::until_async};
use tokio::{io::AsyncWriteExt, net::TcpListener, time::sleep};

const LIMIT: Duration = Duration::from_secs(20);

/// The error of one attempt, which ends soon after the node time limit.
async fn refused(redsync: &Redsync) -> String {
    let start = Instant::now();
    let error = redsync.mutex("a").try_lock().await.map(drop).unwrap_err();
    assert!(matches!(error, LockError::Unavailable(_)), "{error}");
    assert!(start.elapsed() < LIMIT, "it does not hang");
    error.to_string()
}

#[tokio::test]
async fn a_server_that_closes_idle_connections_costs_no_attempt() {
    let servers = Servers::start(3);
    for server in &servers {
        server.command(&["CONFIG", "SET", "timeout", "1"]);
    }
    let redsync = Redsync::connect(servers.urls()).unwrap();
    let redsync = redsync.with_defaults(|mutex| mutex.with_node_timeout(Duration::from_secs(5)));
    let redsync = redsync.unwrap();
    let until_closed = async || {
        until_async("all are closed", LIMIT, async || {
            // That of the test, which asks.
            servers.iter().all(|it| it.info("connected_clients") == 1)
        })
        .await;
    };
    for _ in 0..3 {
        let guard = redsync.mutex("a").try_lock().await.unwrap();
        until_closed().await;
        guard.release().await.unwrap();
        until_closed().await;
    }
}

/// As during a failover that an administrator asks for: reads are answered, writes wait.
#[tokio::test]
async fn a_server_whose_writes_are_paused_keeps_no_key_afterwards() {
    let server = RedisServer::start();
    let redsync = Redsync::connect([server.url()]).unwrap();
    let mutex = redsync.mutex("a").with_expiry(10 * LIMIT);
    mutex.try_lock().await.unwrap().release().await.unwrap();
    server.command(&["CLIENT", "PAUSE", "2000", "WRITE"]);
    for _ in 0..3 {
        refused(&redsync).await;
    }
    until_async("no key", LIMIT, async || match mutex.try_lock().await {
        Ok(guard) => guard.release().await.is_ok() && server.keys().is_empty(),
        Err(_) => false,
    })
    .await;
}

#[tokio::test]
async fn connections_that_an_administrator_kills_again_and_again_leave_no_key() {
    let servers = Servers::start(3);
    let redsync = Redsync::connect(servers.urls()).unwrap();
    let mutex = redsync.mutex("a").with_expiry(10 * LIMIT);
    for round in 0..30 {
        let lock = mutex.lock_within(LIMIT);
        let kill = async {
            sleep(Duration::from_micros(100 * round)).await;
            for server in &servers {
                let _ = server.try_command(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
            }
        };
        let (guard, ()) = tokio::join!(lock, kill);
        drop(guard.unwrap());
    }
    until_async("no key", LIMIT, async || {
        servers.iter().all(|server| server.keys().is_empty())
    })
    .await;
}

#[tokio::test]
async fn a_server_of_a_cluster_that_has_no_slots_says_so_and_is_used_when_it_has_them() {
    let server = RedisServer::start_with(&["--cluster-enabled", "yes"]);
    let redsync = Redsync::connect([server.url()]).unwrap();
    for _ in 0..2 {
        let error = refused(&redsync).await;
        assert!(error.contains("CLUSTERDOWN"), "{error}");
    }
    let slots: Vec<_> = (0..16384).map(|slot| slot.to_string()).collect();
    let mut add = vec!["CLUSTER", "ADDSLOTS"];
    add.extend(slots.iter().map(String::as_str));
    server.command(&add);
    until_async("a lock", LIMIT, async || {
        let guard = redsync.mutex("a").with_fencing(true).try_lock().await;
        match guard {
            Ok(guard) => guard.release().await.is_ok(),
            Err(_) => false,
        }
    })
    .await;
}

#[tokio::test]
async fn a_database_that_the_server_does_not_have_is_named_as_the_reason() {
    let server = RedisServer::start_with(&["--databases", "1"]);
    let redsync = Redsync::connect([format!("{}/3", server.url())]).unwrap();
    let error = refused(&redsync).await;
    assert!(error.contains("DB index is out of range"), "{error}");
}

#[tokio::test]
async fn a_port_on_which_something_else_listens_is_an_error_and_no_hang() {
    for words in [
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "SSH-2.0-OpenSSH\r\n",
        "\0\0\0\0",
        "",
    ] {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let url = format!("redis://{}", listener.local_addr().unwrap());
        let serving = tokio::spawn(async move {
            loop {
                let (mut client, _) = listener.accept().await.unwrap();
                let _ = client.write_all(words.as_bytes()).await;
                // Some wait for the client to go on, and some do not.
                if words.is_empty() {
                    tokio::spawn(async move {
                        sleep(LIMIT).await;
                        drop(client);
                    });
                }
            }
        });
        let redsync = Redsync::connect([url]).unwrap();
        for _ in 0..2 {
            refused(&redsync).await;
        }
        serving.abort();
    }
}
