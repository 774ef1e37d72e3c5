//! Wake-ups while the connections that bring them are killed again and again, on real servers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
};

use redsync::Redsync;
use redsync_tests::{RedisServer, Servers};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep},
};

use crate::{NAME, WAIT, ms, on_servers};

const ROUNDS: usize = 150;

/// What a waiter does while too few nodes can be watched.
const PAUSE: Duration = Duration::from_secs(5);

/// Locks and releases in turn with all others. Returns how many waits took until a poll.
async fn take_turns(redsync: Redsync, kind: usize) -> usize {
    let mut polled = 0;
    for round in 0..ROUNDS {
        let mutex = match kind {
            0 => redsync.mutex(NAME),
            1 => redsync.mutex_many([NAME, "{order:42}:b"]),
            _ => redsync.semaphore("export", 2),
        };
        let start = Instant::now();
        let guard = mutex.with_retry_delay(PAUSE).lock_within(WAIT).await;
        let guard = guard.expect("a lock");
        polled += usize::from(start.elapsed() >= PAUSE);
        sleep(ms(2)).await;
        if round % 2 == 0 {
            drop(guard);
        } else {
            guard.release().await.expect("an answer");
        }
    }
    polled
}

/// The connections that report changes of what was read over them.
fn reporting(server: &RedisServer) -> Vec<String> {
    let list: String = server.query(&["CLIENT", "LIST"]);
    let reports = |line: &&str| {
        let has = |field: &str| line.split(' ').any(|it| it.starts_with(field));
        has("flags=t") && has("cmd=exists")
    };
    let id = |line: &str| {
        let id = line.split(' ').find_map(|field| field.strip_prefix("id="));
        id.map(str::to_owned)
    };
    list.lines().filter(reports).filter_map(id).collect()
}

/// How many waits took until a poll, while connections were killed.
async fn polled() -> usize {
    let servers = Servers::start(3);
    let processes: [Redsync; 4] = on_servers(&servers);
    let (is_over, killed) = (AtomicBool::new(false), AtomicUsize::new(0));
    let (is_over, killed) = (Arc::new(is_over), Arc::new(killed));
    let killer = {
        let (is_over, killed) = (Arc::clone(&is_over), Arc::clone(&killed));
        thread::spawn(move || {
            while !is_over.load(SeqCst) {
                for server in &servers {
                    for id in reporting(server) {
                        server.command(&["CLIENT", "KILL", "ID", &id]);
                        killed.fetch_add(1, SeqCst);
                    }
                }
                thread::sleep(ms(20));
            }
            servers
        })
    };
    let mut clients = JoinSet::new();
    for redsync in &processes {
        for kind in 0..3 {
            clients.spawn(take_turns(redsync.clone(), kind));
        }
    }
    let polled: usize = clients.join_all().await.into_iter().sum();
    is_over.store(true, SeqCst);
    let servers = killer.join().expect("no panic");
    println!(
        "{} connections were killed; {polled} waits took until a poll",
        killed.load(SeqCst)
    );
    assert!(killed.load(SeqCst) > 10);
    for redsync in &processes {
        redsync.drain().await;
    }
    servers.assert_no_keys();
    polled
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_waiter_learns_of_a_release_although_connections_for_wake_ups_are_killed() {
    // A waiter polls if connections to a majority are killed before they have answered, which is only on a busy
    // machine. Without what it learns from the end of a connection, there are a dozen such waits each time.
    let mut runs = Vec::new();
    while runs.last().is_none_or(|polled| *polled >= 4) {
        assert!(runs.len() < 3, "{runs:?}");
        runs.push(polled().await);
    }
}
