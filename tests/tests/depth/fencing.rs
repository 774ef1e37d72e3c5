use std::{sync::Arc, time::Duration};

use redsync::{
    FencingToken, LockError, Mode, Redsync,
    node::{Entry, Node},
};
use redsync_tests::{
    Servers,
    faulty::{Fault, Operation},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use super::{MILLI, faulty, memory, patient};

async fn token(redsync: &Redsync) -> FencingToken {
    let guard = redsync
        .mutex("order:42")
        .with_fencing(true)
        .lock()
        .await
        .unwrap();
    let token = guard.fencing_token().unwrap();
    guard.release().await.unwrap();
    token
}

/// Sets a node's counter of the name, as if it had been acquired there very often.
async fn run_ahead(node: &impl Node, number: u64) {
    let entry = Entry::new("order:42", "another".into(), 100 * MILLI).with_fencing(true);
    node.acquire(&entry).await.unwrap();
    node.raise(&entry, FencingToken::new(number)).await.unwrap();
    node.release(&entry).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn only_a_fenced_mutex_has_tokens() {
    let (redsync, _) = memory();
    let guard = redsync.mutex("order:42").lock().await.unwrap();
    assert_eq!(guard.fencing_token(), None);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_larger_whichever_majority_grants() {
    let (redsync, nodes) = faulty();
    // One node is far ahead of the others, as in "10, 0, 0".
    run_ahead(nodes[0].inner(), 1 << 60).await;

    nodes[2].always(Fault::unreachable());
    let first = token(&redsync).await;
    assert!(first > FencingToken::new(1 << 60));
    assert_eq!(
        nodes[1]
            .operations()
            .iter()
            .filter(|op| **op == Operation::Raise)
            .count(),
        1
    );

    // The next majority shares with this one only the node whose counter had to be raised.
    nodes[2].always(Fault::none());
    nodes[0].always(Fault::unreachable());
    assert!(token(&redsync).await > first);
}

#[tokio::test(start_paused = true)]
async fn a_lock_whose_counters_cannot_be_raised_is_not_acquired() {
    let (redsync, nodes) = faulty();
    run_ahead(nodes[0].inner(), 1 << 60).await;
    nodes[2].always(Fault::unreachable());
    nodes[1].always_on(Operation::Raise, Fault::unreachable());

    let result = redsync
        .mutex("order:42")
        .with_fencing(true)
        .try_lock()
        .await;
    assert!(
        matches!(result, Err(LockError::Unavailable(_))),
        "{result:?}"
    );
    redsync.drain().await;
    assert!(
        nodes.iter().all(|node| node.inner().is_empty()),
        "nothing is left locked"
    );
}

#[tokio::test(start_paused = true)]
async fn agreeing_counters_cost_no_second_round() {
    let (redsync, nodes) = faulty();
    for _ in 0..5 {
        token(&redsync).await;
    }
    redsync.drain().await;
    for node in nodes {
        assert!(!node.operations().contains(&Operation::Raise));
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_while_counters_are_raised_releases() {
    let (redsync, nodes) = faulty();
    // No two counters agree.
    run_ahead(nodes[0].inner(), 1 << 60).await;
    run_ahead(nodes[1].inner(), 1 << 59).await;
    for node in &nodes {
        node.always_on(Operation::Raise, Fault::late_reply(50 * MILLI));
    }
    let mutex = redsync.mutex("order:42").with_fencing(true);
    assert!(timeout(10 * MILLI, mutex.try_lock()).await.is_err());
    redsync.drain().await;
    assert!(nodes.iter().all(|node| node.inner().is_empty()));
}

async fn grow_on(servers: &Servers) {
    let redsync = patient(Redsync::connect(servers.urls()).unwrap());
    let mut last = token(&redsync).await;
    let mut grows = async |what: &str| {
        let next = token(&redsync).await;
        assert!(next > last, "{what}: {next} after {last}");
        last = next;
    };
    grows("again").await;
    // An acquisition by a client that has no tokens.
    for server in servers {
        server.command(&["SET", "order:42", "go", "NX", "PX", "50"]);
    }
    assert!(matches!(
        redsync
            .mutex("order:42")
            .with_fencing(true)
            .try_lock()
            .await,
        Err(LockError::Taken(_))
    ));
    grows("after a client without tokens").await;
    // As many nodes fail as a quorum allows, and then as many others.
    let minority = servers.len() / 2;
    for server in &servers[..minority] {
        server.kill();
    }
    grows("a minority is killed").await;
    for server in &servers[..minority] {
        server.restart_empty();
    }
    for server in &servers[servers.len() - minority..] {
        server.kill();
    }
    grows("it is back without its data, and another is killed").await;
}

#[tokio::test]
async fn tokens_grow_on_real_servers_whatever_happens_to_a_minority() {
    for count in [3, 5] {
        grow_on(&Servers::start(count)).await;
    }
}

#[tokio::test]
async fn a_fenced_name_costs_one_small_key_that_expires_in_a_day() {
    let servers = Servers::start(3);
    let redsync = patient(Redsync::connect(servers.urls()).unwrap());
    for _ in 0..100 {
        token(&redsync).await;
    }
    redsync.drain().await;
    for server in &servers {
        assert_eq!(server.keys(), ["{order:42}:fence"]);
        let ttl = server.pttl("{order:42}:fence");
        assert!((1..=24 * 60 * 60 * 1000).contains(&ttl), "{ttl}");
        let bytes: u64 = server.query(&["MEMORY", "USAGE", "{order:42}:fence"]);
        assert!(bytes <= 200, "{bytes} bytes");
    }
}

/// One acquisition, as its client saw it.
#[derive(Clone, Copy, Debug)]
struct Grant {
    asked: Instant,
    got: Instant,
    token: FencingToken,
}

/// Checks that the tokens of overlapping acquisitions differ, and that a later acquisition has a
/// larger one.
fn check(grants: &[Grant]) -> Result<(), String> {
    for a in grants {
        for b in grants {
            if a.got < b.asked && a.token >= b.token {
                return Err(format!("{b:?} came after {a:?}"));
            }
        }
    }
    let mut tokens: Vec<_> = grants.iter().map(|grant| grant.token).collect();
    tokens.sort_unstable();
    match tokens.windows(2).find(|pair| pair[0] == pair[1]) {
        Some(pair) => Err(format!("{} was granted twice", pair[0])),
        None => Ok(()),
    }
}

async fn simulate(seed: u64) -> Vec<Grant> {
    let (redsync, nodes) = faulty();
    let mut random = fastrand::Rng::with_seed(seed);
    for (node, ahead) in nodes.iter().zip([random.u64(..1 << 62), 0, 0]) {
        if random.bool() {
            run_ahead(node.inner(), ahead).await;
        }
        let mut random = random.fork();
        node.plan(move |_| match random.u8(..20) {
            0 => Fault::lost_request(),
            1 => Fault::lost_reply(),
            2 => Fault::broken_request(),
            3 => Fault::broken_reply(),
            4 => Fault::unreachable(),
            _ => Fault::late_request(random.u32(..30) * MILLI)
                .and_late_reply(random.u32(..30) * MILLI),
        });
    }
    let mutex = redsync
        .mutex("order:42")
        .with_fencing(true)
        .with_expiry(400 * MILLI)
        .with_node_timeout(60 * MILLI);
    let mutex = Arc::new(mutex);
    let mut clients = JoinSet::new();
    for _ in 0..5 {
        let (mutex, mut random) = (Arc::clone(&mutex), random.fork());
        clients.spawn(async move {
            let mut grants = Vec::new();
            for _ in 0..20 {
                let asked = Instant::now();
                let Ok(guard) = mutex.lock_within(Duration::from_secs(1)).await else {
                    continue;
                };
                grants.push(Grant {
                    asked,
                    got: Instant::now(),
                    token: guard.fencing_token().unwrap(),
                });
                sleep(random.u32(..500) * MILLI).await;
                if random.bool() {
                    drop(guard);
                }
            }
            grants
        });
    }
    clients.join_all().await.concat()
}

#[tokio::test(start_paused = true)]
async fn tokens_are_unique_and_grow_in_simulated_networks() {
    let seeds = match std::env::var("SEED") {
        Ok(seed) => vec![seed.parse().expect("SEED is a number")],
        Err(_) => (0..40).map(|_| fastrand::u64(..)).collect(),
    };
    let mut grants = 0;
    for seed in seeds {
        let history = simulate(seed).await;
        grants += history.len();
        if let Err(error) = check(&history) {
            panic!("SEED={seed}: {error}");
        }
    }
    println!("{grants} grants");
    assert!(grants > 20);
}

#[test]
fn the_check_of_a_history_can_fail() {
    let now = Instant::now();
    let grant = |from: u32, to: u32, token| Grant {
        asked: now + from * MILLI,
        got: now + to * MILLI,
        token: FencingToken::new(token),
    };
    assert!(check(&[grant(0, 1, 7), grant(2, 3, 8)]).is_ok());
    assert!(check(&[grant(0, 1, 8), grant(2, 3, 7)]).is_err());
    assert!(check(&[grant(0, 3, 7), grant(2, 5, 7)]).is_err());
    assert!(
        check(&[grant(0, 3, 8), grant(2, 5, 7)]).is_ok(),
        "these overlap"
    );
}

#[test]
fn a_shared_lock_has_no_token() {
    let mutex = Redsync::in_memory(1).mutex("order:42").with_fencing(true);
    // A request for a shared lock asks for no token.
    assert!(mutex.shared().check().is_ok());
    let shared = mutex.with_mode(Mode::Shared);
    assert!(shared.check().is_ok());
    assert!(shared.with_fencing(true).check().is_err());
}
