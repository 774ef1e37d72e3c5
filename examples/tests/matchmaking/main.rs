//! The example `matchmaking`, end to end: players at several copies, which are killed and stopped.

mod scripts;

use std::collections::BTreeSet;

use redsync_tests::{
    RedisServer, Servers, Service,
    http::{get, post},
    program::SOON,
    wait::until_async,
};
use serde_json::json;
use tokio::task::JoinSet;

/// A server with pools, and nodes of locks.
struct World {
    state: RedisServer,
    locks: Servers,
}

impl World {
    fn start() -> Self {
        Self {
            state: RedisServer::start(),
            locks: Servers::start(3),
        }
    }

    /// Starts a copy that thinks so long.
    async fn copy(&self, work_ms: u32) -> Service {
        self.copy_with(&self.locks, work_ms).await
    }

    /// Starts a copy whose locks are on other nodes.
    async fn copy_with(&self, locks: &Servers, work_ms: u32) -> Service {
        let env = [
            ("STATE_URL", &*self.state.url()),
            ("REDIS_URLS", &*locks.urls().join(",")),
            ("EVERY_MS", "50"),
            ("WORK_MS", &*work_ms.to_string()),
            ("EXPIRY_MS", "1500"),
            ("RUST_LOG", "info,matchmaking=debug"),
        ];
        Service::start("matchmaking", &env).await
    }
}

async fn join(service: &Service, pool: &str, name: &str, skill: u32) {
    let url = service.url(&format!("/pools/{pool}/players"));
    let answer = post(&url, &json!({ "name": name, "skill": skill }).to_string()).await;
    assert_eq!(answer.status, 202, "{answer:?}");
}

async fn matches(service: &Service, pool: &str) -> Vec<[String; 2]> {
    let answer = get(&service.url(&format!("/pools/{pool}/matches"))).await;
    serde_json::from_value(answer.json()).expect("pairs of names")
}

async fn until_matches(service: &Service, pool: &str, count: usize) {
    until_async(&format!("{count} matches"), SOON, async || {
        matches(service, pool).await.len() >= count
    })
    .await;
}

#[tokio::test]
async fn with_three_workers_each_player_is_in_one_match() {
    let world = World::start();
    let copies = [
        world.copy(20).await,
        world.copy(20).await,
        world.copy(20).await,
    ];
    let mut players = JoinSet::new();
    for number in 0..90 {
        let pool = ["duel", "race", "siege"][number % 3];
        let url = copies[number / 3 % 3].url(&format!("/pools/{pool}/players"));
        let player = json!({ "name": format!("player-{number}"), "skill": number * 37 % 100 });
        players.spawn(async move { post(&url, &player.to_string()).await.status });
    }
    assert_eq!(players.join_all().await, [202; 90]);
    let mut matched = Vec::new();
    for pool in ["duel", "race", "siege"] {
        until_matches(&copies[0], pool, 15).await;
        matched.extend(matches(&copies[0], pool).await.into_iter().flatten());
    }
    let names: BTreeSet<_> = matched.iter().collect();
    assert_eq!((matched.len(), names.len()), (90, 90), "{matched:?}");
}

/// Whether a worker found matches that were not written, or could not begin, while these copies made a match.
async fn lost_work(copies: [&Service; 2]) -> bool {
    join(copies[0], "duel", "ann", 1).await;
    join(copies[1], "duel", "bob", 2).await;
    let is_lost = || {
        let mut logs = copies.iter().map(|copy| copy.log());
        logs.any(|log| log.contains("no matches were made"))
    };
    until_async("a match, or lost work", SOON, async || {
        is_lost() || matches(copies[0], "duel").await.len() == 1
    })
    .await;
    is_lost()
}

#[tokio::test]
async fn workers_with_a_common_lock_do_not_get_in_each_others_way_and_others_do() {
    let world = World::start();
    let copies = [world.copy(1000).await, world.copy(1000).await];
    assert!(!lost_work([&copies[0], &copies[1]]).await);

    let world = World::start();
    let others = Servers::start(3);
    let copies = [world.copy(1000).await, world.copy_with(&others, 1000).await];
    assert!(lost_work([&copies[0], &copies[1]]).await);
}

#[tokio::test]
async fn players_are_matched_by_their_skill_and_an_odd_one_waits() {
    let world = World::start();
    let service = {
        // They are there before the worker is.
        let players = [
            "ann", "100", "bob", "900", "cid", "120", "dan", "880", "eve", "990",
        ];
        world
            .state
            .command(&[&["HSET", "{duel}:waiting"], &players[..]].concat());
        world.copy(0).await
    };
    until_matches(&service, "duel", 2).await;
    let expected = [["ann", "cid"], ["dan", "bob"]];
    assert_eq!(matches(&service, "duel").await, expected);
    let waiting: Vec<String> = world.state.query(&["HKEYS", "{duel}:waiting"]);
    assert_eq!(waiting, ["eve"]);
}

#[tokio::test]
async fn a_player_who_comes_while_a_worker_thinks_waits_for_the_next_matches() {
    let world = World::start();
    let service = world.copy(1000).await;
    join(&service, "duel", "ann", 1).await;
    join(&service, "duel", "bob", 9).await;
    service.until_logged(1, &["duel: 2 players wait"]).await;
    join(&service, "duel", "cid", 1).await;
    until_matches(&service, "duel", 1).await;
    assert_eq!(matches(&service, "duel").await, [["ann", "bob"]]);
    join(&service, "duel", "dan", 1).await;
    until_matches(&service, "duel", 2).await;
}

#[tokio::test]
async fn the_pool_of_a_killed_worker_is_taken_by_another() {
    let world = World::start();
    let mut killed = world.copy(600_000).await;
    join(&killed, "duel", "ann", 1).await;
    join(&killed, "duel", "bob", 2).await;
    killed.until_logged(1, &["duel: 2 players wait"]).await;
    killed.kill();
    let other = world.copy(0).await;
    until_matches(&other, "duel", 1).await;
}

#[tokio::test]
async fn a_worker_that_was_stopped_makes_no_matches() {
    let world = World::start();
    let stopped = world.copy(2000).await;
    join(&stopped, "duel", "ann", 1).await;
    join(&stopped, "duel", "bob", 2).await;
    stopped.until_logged(1, &["duel: 2 players wait"]).await;
    stopped.pause();
    let other = world.copy(2000).await;
    other.until_logged(1, &["duel: 2 players wait"]).await;
    stopped.resume();
    stopped.until_logged(1, &["the lock was lost"]).await;
    until_matches(&other, "duel", 1).await;
    assert_eq!(matches(&other, "duel").await.len(), 1);
}

#[tokio::test]
async fn without_the_nodes_of_the_locks_players_can_come() {
    let world = World::start();
    let service = world.copy(0).await;
    world.locks[0].kill();
    world.locks[1].kill();
    service.until_logged(1, &["WARN", "duel:"]).await;
    join(&service, "duel", "ann", 1).await;
    join(&service, "duel", "bob", 2).await;
    assert!(matches(&service, "duel").await.is_empty());
    world.locks[0].restart();
    until_matches(&service, "duel", 1).await;
}

#[tokio::test]
async fn a_pool_that_is_worked_on_is_finished_at_a_shutdown() {
    let world = World::start();
    let mut service = world.copy(1000).await;
    join(&service, "siege", "ann", 1).await;
    join(&service, "siege", "bob", 2).await;
    service.until_logged(1, &["siege: 2 players wait"]).await;
    service.terminate();
    assert_eq!(service.exit().code(), Some(0), "{}", service.log());
    let made: Vec<String> = world.state.query(&["LRANGE", "{siege}:matches", "0", "-1"]);
    assert_eq!(made, ["ann bob"]);
    assert_eq!(world.locks.holders("pool:siege"), [None, None, None]);
}

#[tokio::test]
async fn requests_that_make_no_sense_are_refused() {
    let world = World::start();
    let service = world.copy(0).await;
    let player = json!({ "name": "ann", "skill": 1 }).to_string();
    let answer = post(&service.url("/pools/chess/players"), &player).await;
    assert_eq!(answer.status, 404);
    let nameless = json!({ "name": "a b", "skill": 1 }).to_string();
    let answer = post(&service.url("/pools/duel/players"), &nameless).await;
    assert_eq!(answer.status, 400);
    world.state.kill();
    let answer = post(&service.url("/pools/duel/players"), &player).await;
    assert_eq!(answer.status, 503);
}
