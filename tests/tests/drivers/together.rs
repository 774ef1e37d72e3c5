//! Commands of many locks that are sent together: each gets its own answer.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{FutureExt, future::join_all};
use redsync::{
    LockError, NodeError, Redsync,
    node::{
        AcquireVote, Entry, Node, ReleaseVote,
        redis::{Deadpool, RedisNode},
    },
};
use redsync_tests::{Proxy, RedisServer, Servers, wait};
use tokio::{
    io::{self, AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Handle},
    sync::watch,
};

use crate::{acquire, deadpool, entry, manager, release};

const MANY: usize = 300;

fn name(number: usize) -> String {
    format!("job:{number}")
}

fn all_entries() -> Vec<Entry> {
    (0..MANY)
        .map(|number| entry(&name(number), &format!("value {number}")))
        .collect()
}

async fn each_gets_its_own_answer<N: Node>(node: &N, server: &RedisServer) {
    acquire(node, &entry("warm", "value")).await;
    for number in (0..MANY).step_by(3) {
        server.command(&["SET", &name(number), "another", "PX", "30000"]);
    }
    // These are not locks, and commands that compare and delete them get an error.
    for number in (1..MANY).step_by(30) {
        server.command(&["LPUSH", &name(number), "of another type"]);
    }
    let all = all_entries();
    let votes = join_all(all.iter().map(|entry| node.acquire(entry))).await;
    for (number, vote) in votes.iter().enumerate() {
        let acquired = matches!(vote, Ok(AcquireVote::Acquired { .. }));
        assert_eq!(
            acquired,
            number % 3 != 0 && number % 30 != 1,
            "{number}: {vote:?}"
        );
        let value = server.try_command(&["GET", &name(number)]).ok();
        let own = redis::Value::BulkString(format!("value {number}").into_bytes());
        assert_eq!(acquired, value == Some(own), "{number}");
    }
    // The first release finds the script gone, and so do the releases that are sent with it.
    server.command(&["SCRIPT", "FLUSH"]);
    let votes = join_all(all.iter().map(|entry| node.release(entry))).await;
    for (number, vote) in votes.into_iter().enumerate() {
        let expected = if number % 3 != 0 && number % 30 != 1 {
            ReleaseVote::Released
        } else {
            ReleaseVote::NotOwner
        };
        assert_eq!(vote.unwrap(), expected, "{number}");
    }
}

#[tokio::test]
async fn of_many_commands_each_gets_its_own_answer() {
    let server = RedisServer::start();
    each_gets_its_own_answer(&deadpool(&server.url()), &server).await;
    server.flush();
    each_gets_its_own_answer(&manager(&server.url()), &server).await;
}

/// Some commands are dropped before they are sent, some after.
async fn the_others_get_their_answers<N: Node>(node: &N) {
    acquire(node, &entry("warm", "value")).await;
    let all = all_entries();
    for yields in 0..4 {
        let mut votes: Vec<_> = all
            .iter()
            .map(|entry| Box::pin(node.acquire(entry)))
            .collect();
        for vote in &mut votes {
            assert!(vote.as_mut().now_or_never().is_none());
        }
        for _ in 0..yields {
            tokio::task::yield_now().await;
        }
        let mut number = 0;
        votes.retain(|_| {
            number += 1;
            number % 2 == 0
        });
        for vote in join_all(votes).await {
            assert!(matches!(vote, Ok(AcquireVote::Acquired { .. })), "{vote:?}");
        }
        for (number, entry) in all.iter().enumerate() {
            let vote = node.release(entry).await.unwrap();
            if number % 2 == 1 {
                assert_eq!(vote, ReleaseVote::Released, "{number}");
            }
        }
    }
}

#[tokio::test]
async fn a_command_that_is_dropped_takes_the_answer_of_no_other() {
    let server = RedisServer::start();
    the_others_get_their_answers(&deadpool(&server.url())).await;
    server.flush();
    the_others_get_their_answers(&manager(&server.url())).await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_an_error_for_all_that_wait_on_it() {
    let server = RedisServer::start();
    let node = deadpool(&server.url());
    acquire(&node, &entry("warm", "value")).await;
    server.stop();
    let all = all_entries();
    let votes = async { join_all(all.iter().map(|entry| node.acquire(entry))).await };
    let breaks = async {
        // All commands have been sent, or wait to be.
        tokio::task::yield_now().await;
        server.kill();
    };
    let (votes, ()) = tokio::join!(votes, breaks);
    for vote in votes {
        assert!(
            matches!(
                vote,
                Err(NodeError::Disconnected(_) | NodeError::Unreachable(_))
            ),
            "{vote:?}"
        );
    }
    server.restart_empty();
    let after = entry("after", "value");
    wait::until_async("an answer", Duration::from_secs(10), async || {
        node.acquire(&after).await.is_ok()
    })
    .await;
    release(&node, &entry("after", "value")).await;
}

#[test]
fn a_connection_outlives_the_runtime_it_was_made_on_by_one_error_at_the_most() {
    let server = RedisServer::start();
    let redsync = Redsync::new([deadpool(&server.url())]).unwrap();
    for _ in 0..3 {
        let runtime = Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mutexes = (0..MANY).map(|number| redsync.mutex(name(number)));
            let mutexes = mutexes.map(|mutex| mutex.with_retry_delay(Duration::from_millis(10)));
            let mutexes: Vec<_> = mutexes.collect();
            let guards = join_all(mutexes.iter().map(redsync::Mutex::lock)).await;
            for guard in guards {
                guard.unwrap().release().await.unwrap();
            }
            redsync.drain().await;
        });
    }
    assert_eq!(server.keys(), Vec::<String>::new());
}

#[tokio::test]
async fn a_command_does_not_fail_for_the_short_expiry_of_another() {
    let server = RedisServer::start();
    let proxy = Proxy::start(server.port()).await;
    let redsync = Redsync::connect([proxy.url()]).unwrap();
    let long = redsync
        .mutex("long")
        .with_node_timeout(Duration::from_secs(2));
    long.lock().await.unwrap().release().await.unwrap();
    // The round trip takes longer than the short lock is valid.
    proxy.delay(Duration::from_millis(150));
    let short = (redsync.mutex("short")).with_expiry(Duration::from_millis(60));
    let (failed, locked) = tokio::join!(short.try_lock(), long.try_lock());
    failed.expect_err("no time for an answer");
    let guard = locked.expect("the answer arrives in time for this one");
    assert!(!guard.is_lost());
}

const BURST: usize = 3_000;

/// How long each of the burst may wait. On a busy machine, the default number of attempts is too few
/// for the last ones.
const LONG: Duration = Duration::from_secs(60);

/// How many times a server was asked to set a key.
fn sets(server: &RedisServer) -> usize {
    let stats: String = server.query(&["INFO", "commandstats"]);
    let calls = stats
        .lines()
        .find_map(|line| line.strip_prefix("cmdstat_set:calls="));
    let calls = calls.and_then(|line| line.split(',').next()?.parse().ok());
    calls.unwrap_or_default()
}

/// While a server has enough to do, the other commands are not sent, and never if nobody waits for
/// them any more.
#[tokio::test]
async fn a_server_that_is_behind_is_spared_commands_that_nobody_waits_for() {
    let server = RedisServer::start();
    let node = deadpool(&server.url());
    acquire(&node, &entry("warm", "value")).await;
    server.stop();
    let all: Vec<_> = (0..BURST)
        .map(|number| entry(&name(number), "value"))
        .collect();
    let mut votes: Vec<_> = all
        .iter()
        .map(|entry| Box::pin(node.acquire(entry)))
        .collect();
    for _ in 0..3 {
        for vote in &mut votes {
            assert!(vote.as_mut().now_or_never().is_none());
        }
        tokio::task::yield_now().await;
    }
    drop(votes);
    server.cont();
    release(&node, &entry("warm", "value")).await;
    let sent = sets(&server) - 1;
    assert!(0 < sent && sent < BURST / 2, "{sent} of {BURST} were sent");
}

/// So many locks at once that their attempts could not all be answered in time: some are not begun.
#[tokio::test]
async fn attempts_that_could_not_be_answered_in_time_are_not_begun() {
    let server = RedisServer::start();
    let redsync = Redsync::connect([server.url()]).unwrap();
    let warm = redsync.mutex("warm").lock().await.unwrap();
    warm.release().await.unwrap();
    server.stop();
    let mutexes = (0..BURST).map(|number| redsync.mutex(name(number)));
    let mutexes: Vec<_> = mutexes.collect();
    let mut not_begun = 0;
    for result in join_all(mutexes.iter().map(redsync::Mutex::try_lock)).await {
        let error = result.expect_err("no answer");
        assert!(matches!(error, LockError::Unavailable(_)), "{error}");
        not_begun += usize::from(
            error
                .to_string()
                .contains(&NodeError::Overloaded.to_string()),
        );
    }
    assert!(not_begun > 0);
    server.cont();
    redsync.drain().await;
    assert_eq!(server.keys(), Vec::<String>::new());
    // There is room for all of them again, one after the other.
    for result in join_all(mutexes.iter().map(|mutex| mutex.lock_within(LONG))).await {
        drop(result.unwrap());
    }
}

/// A relay to a server. What its first connection sends stays here while it is late.
struct Relay {
    url: String,
    late: watch::Sender<bool>,
    /// How many connections were made, and how many have been ended by their client.
    made: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

async fn relay(server: u16) -> Relay {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("redis://{}", listener.local_addr().unwrap());
    let (late, is_late) = watch::channel(false);
    let (made, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let relay = Relay {
        url,
        late,
        made: Arc::clone(&made),
        ended: Arc::clone(&ended),
    };
    tokio::spawn(async move {
        loop {
            let (client, _) = listener.accept().await.unwrap();
            let is_first = made.fetch_add(1, Ordering::Relaxed) == 0;
            let server = TcpStream::connect(("127.0.0.1", server)).await.unwrap();
            let (mut from_client, mut to_client) = client.into_split();
            let (mut from_server, mut to_server) = server.into_split();
            let (mut is_late, ended) = (is_late.clone(), Arc::clone(&ended));
            tokio::spawn(async move {
                let mut bytes = vec![0; 1 << 16];
                while let Ok(read @ 1..) = from_client.read(&mut bytes).await {
                    if is_first {
                        is_late.wait_for(|is_late| !is_late).await.unwrap();
                    }
                    to_server.write_all(&bytes[..read]).await.unwrap();
                }
                ended.fetch_add(1, Ordering::Relaxed);
            });
            tokio::spawn(async move { io::copy(&mut from_server, &mut to_client).await });
        }
    });
    relay
}

#[tokio::test]
async fn a_full_connection_that_is_replaced_leaves_no_key_when_its_commands_arrive_late() {
    replaces_a_full_connection_of(&Handle::current()).await;
}

#[tokio::test]
async fn a_full_connection_of_another_runtime_that_runs_leaves_no_key_either() {
    let other = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    replaces_a_full_connection_of(other.handle()).await;
    other.shutdown_background();
}

async fn replaces_a_full_connection_of(runtime: &Handle) {
    let servers = Servers::start(3);
    let relay = relay(servers[0].port()).await;
    let urls = [relay.url.clone(), servers[1].url(), servers[2].url()];
    // Without wake-ups the first connection is that of the commands.
    let nodes = urls.map(|url| RedisNode::new(Deadpool::connect(&url).unwrap()));
    let redsync = Redsync::new(nodes).unwrap();
    let lock = |name: String| {
        let mutex = redsync.mutex(name).with_expiry(5 * LONG);
        async move {
            let guard = mutex.lock_within(LONG).await.unwrap();
            // On a slow machine, it is confirmed too late now and then.
            let _ = guard.release().await;
        }
    };
    runtime.spawn(lock(name(0))).await.unwrap();
    redsync.drain().await;
    relay.late.send(true).unwrap();
    // At once, so that the connection is full before its silence is noticed.
    join_all((1..BURST).map(|number| lock(name(number)))).await;
    wait::until_async("another connection", Duration::from_secs(20), async || {
        lock("later".to_owned()).await;
        relay.made.load(Ordering::Relaxed) > 1
    })
    .await;
    let mutex = redsync.mutex("over the new one");
    wait::until_async("a lock over it", Duration::from_secs(20), async || {
        let guard = mutex.lock().await.unwrap();
        let is_there = servers[0].get(guard.name()).is_some();
        let _ = guard.release().await;
        is_there
    })
    .await;
    relay.late.send(false).unwrap();
    redsync.drain().await;
    let soon = Duration::from_secs(20);
    wait::until_async("the end of the first connection", soon, async || {
        relay.ended.load(Ordering::Relaxed) > 0
    })
    .await;
    // Long before they expire.
    wait::until_async("no keys", soon, async || servers[0].keys().is_empty()).await;
}
