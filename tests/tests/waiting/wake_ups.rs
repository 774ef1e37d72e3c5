//! What wakes those who wait for a lock that another process holds, on real servers.

use redsync::{
    Guard, LockError, Redsync,
    node::redis::{Deadpool, RedisNode},
};
use redsync_tests::{Proxy, RedisServer, Servers, UNLOCK_OF_GO, wait::until};
use tokio::{
    runtime::Builder,
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::{NAME, SOON, WAIT, drowsy, ms, on_servers};

type Waiting = JoinHandle<Result<Guard, LockError>>;

/// Has somebody hold the name, as go-redsync does.
fn hold<'a>(servers: impl IntoIterator<Item = &'a RedisServer>) {
    for server in servers {
        server.command(&["SET", NAME, "theirs", "NX", "PX", "300000"]);
    }
}

/// Waits until the server would report a change.
fn until_tracked<'a>(servers: impl IntoIterator<Item = &'a RedisServer>) {
    for server in servers {
        until("a server reports changes", SOON, || {
            server.info("tracking_total_keys") > 0
        });
    }
}

fn wait(redsync: &Redsync) -> Waiting {
    tokio::spawn(redsync.mutex(NAME).lock_within(WAIT))
}

async fn woken(what: &str, waiting: Waiting) {
    let start = Instant::now();
    let guard = timeout(SOON, waiting).await;
    let guard = guard.unwrap_or_else(|_| panic!("{what}: not woken"));
    println!("{what}: woken after {:?}", start.elapsed());
    guard
        .expect("no panic")
        .expect("a lock")
        .release()
        .await
        .expect("an answer");
}

/// What go-redsync's `Unlock` sends.
fn unlock_as_go_does(server: &RedisServer) {
    let digest: String = server.query(&["SCRIPT", "LOAD", UNLOCK_OF_GO]);
    assert_eq!(
        server.query::<i64>(&["EVALSHA", &digest, "1", NAME, "theirs"]),
        1
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_is_woken_whatever_frees_the_name() {
    let servers = Servers::start(3);
    let [redsync] = on_servers(&servers);
    let ways: [(&str, fn(&RedisServer)); 6] = [
        ("go-redsync's script", unlock_as_go_does),
        ("DEL", |server| {
            server.command(&["DEL", NAME]);
        }),
        ("UNLINK", |server| {
            server.command(&["UNLINK", NAME]);
        }),
        ("a shorter life", |server| {
            server.command(&["PEXPIRE", NAME, "300"]);
        }),
        ("RENAME", |server| {
            server.command(&["RENAME", NAME, "another"]);
        }),
        ("FLUSHALL", RedisServer::flush),
    ];
    for (what, free) in ways {
        hold(&servers);
        let waiting = wait(&redsync);
        until_tracked(&servers);
        assert!(!waiting.is_finished());
        servers.iter().for_each(free);
        woken(what, waiting).await;
        redsync.drain().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_is_woken_when_a_majority_is_free() {
    let servers = Servers::start(5);
    let [redsync] = on_servers(&servers);
    hold(&servers);
    let waiting = wait(&redsync);
    until_tracked(&servers);
    for server in &servers[1..4] {
        unlock_as_go_does(server);
    }
    woken("three of five", waiting).await;
}

/// The connections over which servers report changes.
fn tracking(server: &RedisServer) -> Vec<String> {
    let list: String = server.query(&["CLIENT", "LIST"]);
    let tracks = |line: &&str| {
        let mut fields = line.split(' ');
        fields.any(|field| {
            field
                .strip_prefix("flags=")
                .is_some_and(|flags| flags.contains('t'))
        })
    };
    let id = |line: &str| {
        line.split(' ')
            .find_map(|field| field.strip_prefix("id=").map(str::to_owned))
    };
    list.lines().filter(tracks).filter_map(id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_killed_is_made_again() {
    let servers = Servers::start(3);
    let [redsync] = on_servers(&servers);
    hold(&servers);
    let waiting = wait(&redsync);
    for _ in 0..3 {
        until_tracked(&servers);
        let old: Vec<_> = servers.iter().map(tracking).collect();
        for (server, old) in servers.iter().zip(&old) {
            for id in old {
                server.command(&["CLIENT", "KILL", "ID", id]);
            }
        }
        // Two of three are enough to be woken, and then all are asked anew.
        for (server, old) in servers.iter().zip(&old) {
            until("there is a new one", SOON, || {
                tracking(server).iter().any(|id| !old.contains(id))
            });
        }
    }
    // It reads what it tracks when it is there.
    until("all have tried and asked", SOON, || {
        servers
            .iter()
            .all(|server| server.info("cmdstat_exists") >= 4)
    });
    assert!(!waiting.is_finished());
    servers.iter().for_each(unlock_as_go_does);
    woken("over new connections", waiting).await;
}

/// The connections for wake-ups are made on a runtime that then ends.
#[test]
fn a_waiter_is_woken_although_the_runtime_of_another_has_ended() {
    let servers = Servers::start(3);
    let [redsync] = on_servers(&servers);
    let runtime = || {
        let mut workers = Builder::new_multi_thread();
        workers.worker_threads(1).enable_all().build().unwrap()
    };
    let (ends, lives) = (runtime(), runtime());
    hold(&servers);
    for server in &servers {
        server.command(&["SET", "other", "theirs", "NX", "PX", "300000"]);
    }
    let other = ends.spawn(redsync.mutex("other").lock_within(WAIT));
    until_tracked(&servers);
    let waiting = lives.spawn(redsync.mutex(NAME).lock_within(WAIT));
    until("all servers report changes of both names", SOON, || {
        (servers.iter()).all(|server| server.info("tracking_total_keys") == 2)
    });
    drop(ends);
    servers.iter().for_each(unlock_as_go_does);
    lives.block_on(woken("after the end of a runtime", waiting));
    drop(other);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_that_is_not_pushed_is_found_by_polling() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port()).await;
    let node = RedisNode::new(Deadpool::connect(&server.url()).unwrap());
    let node = node.with_wake_ups(&proxy.url()).unwrap();
    let redsync = drowsy(Redsync::new([node]).unwrap());
    hold([&server]);
    let mutex = redsync.mutex(NAME).with_retry_delay(ms(300));
    let waiting = tokio::spawn(mutex.lock_within(WAIT));
    until_tracked([&server]);
    // Half-open: nobody sees an end of the connection.
    proxy.blackhole();
    unlock_as_go_does(&server);
    woken("by polling", waiting).await;

    // And when the network is back, wake-ups are.
    proxy.pass();
    redsync.drain().await;
    hold([&server]);
    let waiting = tokio::spawn(mutex.lock_within(WAIT));
    until("a server reports changes", SOON, || {
        server.info("tracking_total_keys") > 0
    });
    unlock_as_go_does(&server);
    woken("after a half-open connection", waiting).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_user_that_may_not_track_polls() {
    let servers = Servers::start(3);
    for server in &servers {
        server.command(&[
            "ACL", "SETUSER", "limited", "on", ">secret", "~*", "&*", "+@all", "-client",
        ]);
        server.command(&[
            "ACL", "SETUSER", "old", "on", ">secret", "~*", "&*", "+@all", "-hello",
        ]);
    }
    for user in ["limited", "old"] {
        let urls = servers
            .iter()
            .map(|server| format!("redis://{user}:secret@{}", server.address()));
        let redsync = drowsy(Redsync::connect(urls).unwrap());
        hold(&servers);
        let mutex = redsync.mutex(NAME).with_retry_delay(ms(100));
        let waiting = tokio::spawn(mutex.lock_within(WAIT));
        until("it has tried twice", SOON, || {
            servers[0].info("total_error_replies") > 0
        });
        assert!(!waiting.is_finished());
        servers.iter().for_each(unlock_as_go_does);
        woken(user, waiting).await;
        redsync.drain().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_hangs_or_is_down_keeps_no_wake_up() {
    for (count, hangs) in [(3, true), (3, false), (5, true), (5, false)] {
        let servers = Servers::start(count);
        let [redsync] = on_servers(&servers);
        let redsync = redsync
            .with_defaults(|mutex| mutex.with_node_timeout(ms(500)))
            .unwrap();
        hold(&servers);
        let (away, rest) = servers.split_first().expect("a server");
        let away_first = count == 3;
        let leave = || if hangs { away.stop() } else { away.kill() };
        if away_first {
            leave();
        }
        let waiting = wait(&redsync);
        until_tracked(rest);
        if !away_first {
            until_tracked([away]);
            leave();
        }
        assert!(!waiting.is_finished());
        rest.iter().for_each(unlock_as_go_does);
        woken(&format!("{count} nodes, one hangs: {hangs}"), waiting).await;
    }
}
