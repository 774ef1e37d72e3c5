//! Processes that share a semaphore on servers, one of which is killed.

use redis::{Client, Commands};
use redsync::Redsync;
use redsync_tests::{RedisServer, Servers};
use tokio::{task::JoinSet, time::sleep};

use super::NAME;
use crate::{SOON, ms, process, process::Process};

const PERMITS: usize = 3;
const ROUNDS: usize = 100;

/// Where the processes count those inside.
const INSIDE: &str = "inside";

#[tokio::test]
#[ignore = "another test starts it as a child process"]
async fn child_process_that_takes_permits() {
    let Some(mut urls) = process::urls() else {
        return;
    };
    let counts = Client::open(urls.pop().unwrap()).unwrap();
    let redsync = Redsync::connect(urls).unwrap();
    let redsync = redsync
        .with_defaults(|mutex| mutex.with_node_timeout(ms(2000)))
        .unwrap();
    let mut tasks = JoinSet::new();
    for _ in 0..4 {
        let mut counts = counts.get_connection().unwrap();
        let mutex = redsync.semaphore(NAME, PERMITS);
        tasks.spawn(async move {
            let mut most = 0;
            for _ in 0..ROUNDS {
                let guard = mutex.lock_within(SOON).await.unwrap();
                let inside: usize = counts.incr(INSIDE, 1).unwrap();
                most = most.max(inside);
                sleep(ms(2)).await;
                let _: usize = counts.decr(INSIDE, 1).unwrap();
                assert!(!guard.is_lost());
                drop(guard);
            }
            most
        });
    }
    let most = tasks.join_all().await.into_iter().max().unwrap();
    process::say(&most.to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_hold_no_more_permits_than_there_are_although_a_server_is_killed() {
    let servers = Servers::start(3);
    let counts = RedisServer::start();
    let mut urls = servers.urls();
    urls.push(counts.url());
    let child = "semaphores::processes::child_process_that_takes_permits";
    let mut processes: Vec<_> = (0..3).map(|_| Process::start(child, &urls)).collect();
    let kills = tokio::spawn(async move {
        sleep(ms(300)).await;
        servers[1].kill();
        servers
    });
    let said = tokio::task::spawn_blocking(move || {
        let said = processes.iter_mut().map(|process| process.said());
        said.collect::<Vec<_>>()
    });
    let said = said.await.unwrap();
    drop(kills.await.unwrap());
    println!("{said:?}");
    let most = said.iter().map(|said| said.parse::<usize>().unwrap());
    assert_eq!(most.max(), Some(PERMITS), "{said:?}");
}
