//! Rule 12: input is checked before anything is sent.

use std::{panic::catch_unwind, time::Duration};

use redsync::{
    ConfigError, LockError, Mutex, NodeError, Redsync, Released, Vote,
    node::{AnyNode, Node, NodeWrapper, redis::RedisNode},
};
use redsync_tests::{
    FaultyNode, RedisServer, Servers,
    faulty::{Fault, Operation},
    wait,
};
use tokio::time::timeout;

use crate::{NAME, assert_unavailable, ms, nodes, redsync};

#[test]
fn at_least_one_node_is_required() {
    let none: [AnyNode; 0] = [];
    let result = Redsync::new(none);
    assert!(matches!(result, Err(ConfigError::NoNodes)), "{result:?}");
    let none: [&str; 0] = [];
    let result = Redsync::connect(none);
    assert!(matches!(result, Err(ConfigError::NoNodes)), "{result:?}");
    assert!(catch_unwind(|| Redsync::in_memory(0)).is_err());
}

#[test]
fn an_address_that_is_given_twice_is_refused() {
    let [node] = nodes::<1>();
    let result = Redsync::new([node.clone(), node]);
    assert!(
        matches!(result, Err(ConfigError::DuplicateNode { .. })),
        "{result:?}"
    );
    let result = Redsync::connect([
        "redis://user:secret@10.0.0.1:7000/1",
        "redis://10.0.0.2:7000",
        "redis://10.0.0.1:7000/2",
    ]);
    let Err(error @ ConfigError::DuplicateNode { .. }) = &result else {
        panic!("{result:?}")
    };
    assert!(error.to_string().contains("10.0.0.1:7000"), "{error}");
    assert!(!format!("{error} {error:?}").contains("secret"));
}

#[test]
fn a_url_that_lacks_its_host_shows_no_password() {
    for url in [
        "redis://:secret",
        "redis://:0123",
        "redis://user:secret",
        "rediss://:secret/0",
        "redis://:secret?protocol=4",
    ] {
        let error = Redsync::connect([url]).unwrap_err();
        let shown = format!("{error} {error:?}");
        assert!(
            !shown.contains("secret") && !shown.contains("0123"),
            "{shown}"
        );
    }
}

#[test]
fn a_url_that_cannot_be_used_is_refused() {
    for url in [
        "",
        "10.0.0.1",
        "http://10.0.0.1",
        "redis://[::1",
        "redis://h:port",
    ] {
        let result = Redsync::connect([url]);
        assert!(
            matches!(result, Err(ConfigError::Url { .. })),
            "{url}: {result:?}"
        );
    }
    Redsync::connect(["redis://10.0.0.1", "unix:///run/redis.sock"]).unwrap();
}

/// Two nodes that are the same server, and a third.
fn same_server_twice() -> [FaultyNode; 3] {
    let [first, third] = nodes::<2>();
    first.identify_as("one server");
    // It has another address and other faults, but the same keys.
    let second = FaultyNode::around(first.inner().clone());
    second.identify_as("one server");
    third.identify_as("another server");
    [first, second, third]
}

struct Renamed(FaultyNode, &'static str);

impl NodeWrapper for Renamed {
    type Inner = FaultyNode;

    fn inner(&self) -> &FaultyNode {
        &self.0
    }

    fn address(&self) -> &str {
        self.1
    }
}

/// A mutex on these nodes, and the nodes.
fn one_server_under_two_addresses() -> (Mutex, [FaultyNode; 3]) {
    let nodes = same_server_twice();
    (in_another_process(&nodes), nodes)
}

/// A mutex on the same nodes, in a process that does not know them yet.
fn in_another_process(nodes: &[FaultyNode; 3]) -> Mutex {
    let names = ["first", "second", "third"];
    let renamed = nodes.iter().zip(names);
    let redsync = Redsync::new(renamed.map(|(node, name)| Renamed(node.clone(), name))).unwrap();
    redsync.mutex(NAME).with_expiry(ms(1000))
}

#[tokio::test(start_paused = true)]
async fn a_server_under_two_addresses_has_one_vote_to_acquire() {
    let (mutex, nodes) = one_server_under_two_addresses();
    let guard = mutex.try_lock().await.unwrap();
    guard.release().await.unwrap();
    // The remaining vote is not a majority.
    nodes[2].always(Fault::unreachable());
    let result = mutex.try_lock().await;
    assert_unavailable(&result);
    let votes = result.unwrap_err();
    let refused = votes.votes().unwrap().iter().filter(|node| {
        let same = |error: &NodeError| {
            matches!(error, NodeError::SameServer { other, .. } if &**other != node.address())
        };
        matches!(node.vote(), Vote::Failed(error) if same(error))
    });
    assert_eq!(refused.count(), 1, "{votes}");
}

#[tokio::test(start_paused = true)]
async fn a_server_under_two_addresses_has_one_vote_to_verify_and_to_resume() {
    let (mutex, nodes) = one_server_under_two_addresses();
    let guard = mutex.try_lock().await.unwrap();
    assert!(guard.verify().await.unwrap());
    // The remaining vote is not a majority.
    nodes[2].inner().clear();
    let undecided = guard.verify().await.unwrap_err();
    assert!(
        undecided.votes().granted() < undecided.votes().quorum(),
        "{undecided}"
    );
    let parts = guard.into_parts();
    assert_unavailable(&in_another_process(&nodes).resume(parts).await);
}

#[tokio::test(start_paused = true)]
async fn a_server_under_two_addresses_has_one_vote_after_its_restart_too() {
    let (mutex, nodes) = one_server_under_two_addresses();
    let guard = mutex.try_lock().await.unwrap();
    guard.release().await.unwrap();
    for node in &nodes[..2] {
        node.identify_as("one server, restarted");
    }
    nodes[2].always(Fault::unreachable());
    for _ in 0..3 {
        assert_unavailable(&mutex.try_lock().await);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_under_two_addresses_is_released_nevertheless() {
    let (mutex, _nodes) = one_server_under_two_addresses();
    let guard = mutex.try_lock().await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
}

#[tokio::test]
async fn localhost_and_its_address_are_one_server() {
    let servers = Servers::start(2);
    let redsync = Redsync::connect([
        format!("redis://127.0.0.1:{}", servers[0].port()),
        format!("redis://localhost:{}", servers[0].port()),
        servers[1].url(),
    ])
    .unwrap();
    let mutex = redsync
        .mutex(NAME)
        .with_node_timeout(Duration::from_secs(2));
    let guard = mutex.lock().await.unwrap();
    guard.release().await.unwrap();

    servers[1].kill();
    let error = mutex.try_lock().await.unwrap_err();
    assert!(matches!(error, LockError::Unavailable(_)), "{error:?}");
    assert!(error.to_string().contains("same server"), "{error}");
    let soon = Duration::from_secs(20);
    wait::until_async("no key left", soon, async || servers[0].keys().is_empty()).await;
}

#[tokio::test]
async fn a_server_keeps_its_identity() {
    let server = RedisServer::start();
    let node = RedisNode::connect(&server.url()).unwrap();
    let identity = node.identity().await.unwrap().unwrap();
    assert_eq!(identity.len(), 40);
    assert_eq!(node.identity().await.unwrap().unwrap(), identity);
}

#[tokio::test(start_paused = true)]
async fn options_out_of_range_are_refused() {
    let nodes = nodes::<1>();
    let mutex = redsync(&nodes).mutex(NAME);
    let of = |change: fn(Mutex) -> Mutex| change(mutex.clone());
    for (option, mutex) in [
        ("expiry", of(|m| m.with_expiry(Duration::ZERO))),
        (
            "expiry",
            of(|m| m.with_expiry(Duration::from_nanos(9_999_999))),
        ),
        ("expiry", of(|m| m.with_expiry(Duration::MAX))),
        ("drift_factor", of(|m| m.with_drift_factor(-0.01))),
        ("drift_factor", of(|m| m.with_drift_factor(1.0))),
        ("drift_factor", of(|m| m.with_drift_factor(f64::NAN))),
        ("drift_factor", of(|m| m.with_drift_factor(f64::INFINITY))),
        ("node_timeout", of(|m| m.with_node_timeout(Duration::ZERO))),
        ("timeout_factor", of(|m| m.with_timeout_factor(0.0))),
        ("timeout_factor", of(|m| m.with_timeout_factor(1.01))),
        ("timeout_factor", of(|m| m.with_timeout_factor(f64::NAN))),
        ("tries", of(|m| m.with_tries(0))),
        ("outage_attempts", of(|m| m.with_outage_attempts(0))),
    ] {
        let check = mutex.check();
        let Err(ConfigError::Option { option: of, .. }) = check else {
            panic!("{option}: {check:?}")
        };
        assert_eq!(of, option);
        let results = [
            mutex.lock().await,
            mutex.try_lock().await,
            mutex.lock_within(ms(10)).await,
            mutex.resume("value").await,
        ];
        for result in results {
            assert!(matches!(result, Err(LockError::Config(_))), "{result:?}");
        }
    }
    assert!(nodes[0].sent(Operation::Acquire).is_empty());
}

#[tokio::test(start_paused = true)]
async fn options_at_the_limits_of_their_ranges_work() {
    let nodes = nodes::<1>();
    let mutex = redsync(&nodes).mutex(NAME);
    for mutex in [
        mutex.clone().with_expiry(ms(10)),
        mutex
            .clone()
            .with_expiry(Duration::from_secs(365 * 24 * 3600)),
        mutex.clone().with_drift_factor(0.0),
        mutex.clone().with_timeout_factor(1.0),
        mutex.clone().with_tries(1),
        mutex.clone().with_min_validity(Duration::ZERO),
    ] {
        let guard = mutex.lock().await.unwrap();
        assert_eq!(guard.release().await.unwrap(), Released::Held);
    }
}

#[tokio::test(start_paused = true)]
async fn a_wait_and_a_pause_may_have_any_length() {
    let nodes = nodes::<1>();
    let mutex = redsync(&nodes).mutex(NAME);
    let held = mutex.clone().with_max_hold(Duration::MAX);
    let held = held.with_hand_over(u32::MAX, Duration::MAX);
    let mut guard = held.lock().await.unwrap();
    guard.keep_alive();
    let minute = Duration::from_secs(60);
    let within = mutex.lock_within(Duration::MAX);
    assert!(timeout(minute, within).await.is_err(), "it waits");
    for range in [
        Duration::MAX..Duration::MAX,
        Duration::MAX..Duration::ZERO,
        ms(1)..Duration::MAX,
    ] {
        let mutex = mutex.clone().with_retry_delay_range(range);
        assert!(timeout(minute, mutex.lock()).await.is_err(), "it waits");
    }
    assert_eq!(guard.release().await.unwrap(), Released::Held);
}

#[test]
fn an_expiry_that_leaves_no_validity_is_refused() {
    let mutex = Redsync::in_memory(1).mutex(NAME).with_expiry(ms(100));
    for mutex in [
        mutex.clone().with_min_validity(ms(97)),
        mutex.clone().with_drift_factor(0.9),
        mutex.clone().with_min_validity(Duration::MAX),
    ] {
        let check = mutex.check();
        assert!(
            matches!(check, Err(ConfigError::NoValidity { .. })),
            "{check:?}"
        );
    }
    mutex.with_min_validity(ms(96)).check().unwrap();
}

#[tokio::test(start_paused = true)]
async fn empty_and_huge_names_are_refused() {
    let redsync = Redsync::in_memory(1);
    let result = redsync.mutex("").lock().await;
    let Err(LockError::Config(ConfigError::EmptyName)) = result else {
        panic!("{result:?}")
    };
    let empty = redsync.mutex("").with_key_prefix("prefix:").check();
    assert!(matches!(empty, Err(ConfigError::EmptyName)), "{empty:?}");

    redsync.mutex("n".repeat(1024)).check().unwrap();
    let long = redsync.mutex("ü".repeat(513)).check();
    assert!(
        matches!(long, Err(ConfigError::NameTooLong { len: 1026, .. })),
        "{long:?}"
    );
    let mutex = redsync.mutex("n".repeat(1020)).with_key_prefix("12345");
    let long = mutex.check();
    assert!(
        matches!(long, Err(ConfigError::NameTooLong { len: 1025, .. })),
        "{long:?}"
    );
}

#[test]
fn a_name_that_ends_like_the_key_of_a_counter_is_refused_with_its_prefix() {
    let redsync = Redsync::in_memory(1);
    for (prefix, name) in [
        ("", "a:fence"),
        ("a:", "fence"),
        ("a:fen", "ce"),
        ("", ":fence"),
    ] {
        let mutex = redsync.mutex(name).with_key_prefix(prefix);
        let check = mutex.check();
        let Err(ConfigError::ReservedName { name: shown, .. }) = check else {
            panic!("{prefix}{name}: {check:?}")
        };
        assert_eq!(*shown, format!("{prefix}{name}"));
    }
    for (prefix, name) in [
        ("", "fence"),
        ("a", "fence"),
        ("a:fence", "b"),
        ("", "a:fences"),
    ] {
        redsync.mutex(name).with_key_prefix(prefix).check().unwrap();
    }
}

#[test]
fn defaults_that_cannot_work_are_refused_when_they_are_set() {
    let redsync = Redsync::in_memory(1);
    assert!(redsync.clone().with_defaults(|m| m.with_tries(0)).is_err());
    let defaults = redsync.with_defaults(|m| m.with_expiry(ms(500)).with_key_prefix("a:"));
    defaults.unwrap().mutex(NAME).check().unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_even_number_of_nodes_is_allowed() {
    for size in [2, 4] {
        let redsync = Redsync::in_memory(size);
        let guard = redsync.mutex(NAME).lock().await.unwrap();
        crate::assert_taken(&redsync.mutex(NAME).try_lock().await);
        guard.release().await.unwrap();
    }
}
