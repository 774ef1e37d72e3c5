//! The example `transfer`, end to end: transfers in all directions, and copies that are killed and paused.

use std::sync::Arc;

use axum::http::Method;
use redsync_tests::{
    Copies, Service,
    http::{Answer, get, post, try_send},
    program::SOON,
    wait::until_async,
};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};

/// Copies of the program.
struct World(Copies);

impl World {
    fn start() -> Self {
        Self(Copies::of("transfer"))
    }

    async fn copy(&self) -> Service {
        let env = [
            ("WAIT_MS", "60000"),
            ("EXPIRY_MS", "1500"),
            ("RUST_LOG", "info,redsync=debug,transfer=debug"),
        ];
        self.0.start(&env).await
    }

    /// The token of the last transfer that has begun with Alice's account.
    fn token(&self) -> i64 {
        let database = self.0.database();
        let token = "SELECT token FROM accounts WHERE name = 'alice'";
        database
            .query_one(token, [], |row| row.get(0))
            .expect("a row")
    }

    fn is_locked(&self, account: &str) -> bool {
        let holders = self.0.servers.holders(&format!("account:{account}"));
        holders.iter().any(Option::is_some)
    }
}

fn body(from: &str, to: &str, amount: u32) -> String {
    json!({ "from": from, "to": to, "amount": amount }).to_string()
}

async fn transfer(service: &Service, from: &str, to: &str, amount: u32, check_ms: u32) -> Answer {
    let url = service.url(&format!("/transfers?check_ms={check_ms}"));
    post(&url, &body(from, to, amount)).await
}

/// Sends a transfer of 1 to a copy that may not live to answer.
fn sending(service: &Service, check_ms: u32, from: &str, to: &str) -> JoinHandle<Option<Answer>> {
    let url = service.url(&format!("/transfers?check_ms={check_ms}"));
    let body = body(from, to, 1);
    let json = [("content-type", "application/json")];
    tokio::spawn(async move { try_send(Method::POST, &url, &json, &body).await.ok() })
}

async fn accounts(service: &Service) -> Value {
    get(&service.url("/accounts")).await.json()
}

#[tokio::test]
async fn transfers_in_all_directions_at_two_copies_keep_the_sum_and_do_not_deadlock() {
    let world = World::start();
    let copies = Arc::new([world.copy().await, world.copy().await]);
    let directions = [
        ("alice", "bob", 3),
        ("bob", "alice", 2),
        ("bob", "carol", 5),
        ("carol", "alice", 1),
    ];
    let mut requests = JoinSet::new();
    for number in 0..80 {
        let (from, to, amount) = directions[number % 4];
        let copies = Arc::clone(&copies);
        requests.spawn(async move {
            let copy = &copies[number / 4 % 2];
            transfer(copy, from, to, amount, 2).await
        });
    }
    for answer in requests.join_all().await {
        assert_eq!(answer.status, 200, "{answer:?}");
    }
    // Twenty times each direction.
    let expected = json!({ "alice": 1000, "bob": 920, "carol": 1080 });
    assert_eq!(accounts(&copies[0]).await, expected);
}

#[tokio::test]
async fn a_transfer_that_waits_for_one_account_leaves_the_other_free() {
    let world = World::start();
    let copies = [world.copy().await, world.copy().await];
    let slow = sending(&copies[0], 600_000, "alice", "bob");
    until_async("it begins", SOON, async || world.token() > 0).await;
    let waiting = sending(&copies[1], 0, "bob", "carol");
    copies[1]
        .until_logged(1, &["not acquired", "account:carol"])
        .await;
    assert!(!world.is_locked("carol"));
    // A client that hangs up frees both of its accounts.
    slow.abort();
    let answer = waiting.await.expect("no panic").expect("an answer");
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn a_kill_during_the_check_moves_nothing() {
    let world = World::start();
    let mut killed = world.copy().await;
    let other = world.copy().await;
    let first = sending(&killed, 600_000, "alice", "bob");
    until_async("it begins", SOON, async || world.token() > 0).await;
    killed.kill();
    assert!(first.await.expect("no panic").is_none());
    let answer = transfer(&other, "bob", "alice", 1, 0).await;
    assert_eq!(answer.json(), json!({ "alice": 1001, "bob": 999 }));
}

/// Begins a transfer at the first copy, pauses the copy, and lets it go on when another transfer with Alice's
/// account has begun at the second one. Only the later transfer is made.
async fn overtake(
    world: &World,
    copies: &[Service; 2],
    check_ms: u32,
    pause: impl AsyncFnOnce(&Service),
) {
    let late = transfer(&copies[0], "alice", "bob", 100, check_ms);
    let later = async {
        until_async("it begins", SOON, async || world.token() > 0).await;
        let token = world.token();
        pause(&copies[0]).await;
        // The name of another account comes with it, and the token counts for Alice's.
        let second = transfer(&copies[1], "carol", "alice", 10, 2000);
        let resume = async {
            until_async("another begins", SOON, async || world.token() > token).await;
            copies[0].resume();
        };
        tokio::join!(second, resume).0
    };
    let (late, later) = tokio::join!(late, later);
    assert_eq!((late.status, later.status), (503, 200), "{late:?}");
    let expected = json!({ "alice": 1010, "bob": 1000, "carol": 990 });
    assert_eq!(accounts(&copies[0]).await, expected);
}

#[tokio::test]
async fn a_copy_that_was_paused_until_another_transfer_began_writes_nothing() {
    let world = World::start();
    let copies = [world.copy().await, world.copy().await];
    overtake(&world, &copies, 3000, async |copy| world.0.pause(copy)).await;
}

/// The fencing token refuses what the loss of the lock does not stop.
#[tokio::test]
async fn a_copy_that_was_paused_after_its_check_writes_nothing() {
    let world = World::start();
    let copies = [world.copy().await, world.copy().await];
    overtake(&world, &copies, 3000, async |copy| {
        // It cannot write before it is paused.
        let database = world.0.database();
        database.execute_batch("BEGIN IMMEDIATE").expect("begun");
        copy.until_logged(1, &["checked: 100"]).await;
        copy.pause();
        database.execute_batch("ROLLBACK").expect("ended");
    })
    .await;
}

#[tokio::test]
async fn without_two_of_three_nodes_a_transfer_is_refused() {
    let world = World::start();
    let env = [
        ("REDIS_URLS", &*world.0.servers.urls().join(",")),
        ("WAIT_MS", "100"),
    ];
    let service = Service::start("transfer", &env).await;
    world.0.servers[0].kill();
    assert_eq!(transfer(&service, "alice", "bob", 1, 0).await.status, 200);
    world.0.servers[1].kill();
    let refused = transfer(&service, "alice", "bob", 1, 0).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, "1"));
}

#[tokio::test]
async fn transfers_that_make_no_sense_are_refused() {
    let service = Service::start("transfer", &[]).await;
    for (from, to, amount, status) in [
        ("alice", "alice", 1, 400),
        ("alice", "mallory", 1, 404),
        ("alice", "bob", 1001, 422),
    ] {
        let answer = transfer(&service, from, to, amount, 0).await;
        assert_eq!(answer.status, status, "{answer:?}");
    }
    let expected = json!({ "alice": 1000, "bob": 1000, "carol": 1000 });
    assert_eq!(accounts(&service).await, expected);
}

#[tokio::test]
async fn a_transfer_that_has_begun_is_made_at_a_shutdown() {
    let world = World::start();
    let mut service = world.copy().await;
    let request = sending(&service, 1000, "alice", "bob");
    until_async("it begins", SOON, async || world.token() > 0).await;
    service.terminate();
    let answer = request.await.expect("no panic").expect("an answer");
    assert_eq!(answer.status, 200);
    assert_eq!(service.exit().code(), Some(0), "{}", service.log());
    assert!(!world.is_locked("alice") && !world.is_locked("bob"));
}
