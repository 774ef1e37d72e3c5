//! Counters and histograms, by the facade's own recorder.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use metrics::LocalRecorderGuard;
use metrics_util::debugging::{DebugValue, DebuggingRecorder, Snapshotter};
use redsync::Redsync;
use redsync_tests::{Servers, wait::until_async};
use redsync_tower::{LockRejection, RedlockLayer, key};
use tokio::time::{sleep, timeout};
use tracing::Span;

use crate::{Stage, ms, nodes, orders, status, taking};

const SOON: Duration = Duration::from_secs(20);

/// On nodes that a busy machine may keep waiting.
fn connect(servers: &Servers, expiry: Duration) -> Redsync {
    let redsync = Redsync::connect(servers.urls()).unwrap();
    let patient = |mutex: redsync::Mutex| mutex.with_expiry(expiry).with_node_timeout(expiry);
    redsync.with_defaults(patient).unwrap()
}

/// Counts, and how many values histograms have and which is the largest, by name and labels.
type Figures = BTreeMap<String, (u64, f64)>;

fn listen() -> (Snapshotter, LocalRecorderGuard<'static>) {
    let recorder = Box::leak(Box::new(DebuggingRecorder::new()));
    let snapshotter = recorder.snapshotter();
    (snapshotter, metrics::set_default_local_recorder(recorder))
}

fn figures(snapshotter: &Snapshotter) -> Figures {
    let all = snapshotter.snapshot().into_vec().into_iter();
    all.map(|(key, _, _, value)| {
        let mut labels: Vec<_> = key
            .key()
            .labels()
            .map(|label| format!("{}={}", label.key(), label.value()))
            .collect();
        labels.sort();
        let name = format!("{}{{{}}}", key.key().name(), labels.join(","));
        let value = match value {
            DebugValue::Counter(count) => (count, 0.0),
            DebugValue::Histogram(values) => {
                let largest = values.iter().map(|value| value.0).fold(0.0, f64::max);
                (values.len() as u64, largest)
            }
            DebugValue::Gauge(now) => (now.0 as u64, now.0),
        };
        (name, value)
    })
    .collect()
}

/// What begins with `redsync_`, but for the nodes'.
fn counts(figures: &Figures) -> BTreeMap<&str, u64> {
    let of_locks = figures
        .iter()
        .filter(|(name, _)| !name.starts_with("redsync_node"));
    of_locks
        .map(|(name, (count, _))| (&**name, *count))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn each_request_and_each_lock_is_counted_once() {
    let (recorded, _listening) = listen();
    let (redsync, _) = nodes();
    let app = taking(orders(&redsync), ms(250));
    for _ in 0..3 {
        assert_eq!(status(&app).await, 200);
    }
    timeout(ms(100), status(&app)).await.unwrap_err();
    redsync.drain().await;
    let unkeyed = RedlockLayer::new(redsync.clone(), |_: &http::Request<_>| None::<String>);
    assert_eq!(status(&taking(unkeyed, ms(1))).await, 200);
    let nameless = RedlockLayer::new(redsync.clone(), key::header("no-such"));
    assert_eq!(status(&taking(nameless, ms(1))).await, 400);
    let full = orders(&redsync).with_max_pending_total(0);
    assert_eq!(status(&taking(full, ms(1))).await, 423);

    let held = redsync.mutex("order:1").lock().await.unwrap();
    assert_eq!(status(&app).await, 409);
    let patient = taking(orders(&redsync).with_wait(ms(500)), ms(1));
    assert_eq!(status(&patient).await, 423);
    timeout(ms(200), status(&patient)).await.unwrap_err();
    sleep(ms(1000)).await;
    held.release().await.unwrap();

    let figures = figures(&recorded);
    let expected = [
        (
            "redsync_acquisitions_total{mode=exclusive,outcome=acquired}",
            5,
        ),
        (
            "redsync_acquisitions_total{mode=exclusive,outcome=dropped}",
            1,
        ),
        (
            "redsync_acquisitions_total{mode=exclusive,outcome=taken}",
            1,
        ),
        (
            "redsync_acquisitions_total{mode=exclusive,outcome=timed_out}",
            1,
        ),
        // These exist before they are needed, for alerts.
        (
            "redsync_acquisitions_total{mode=exclusive,outcome=misconfigured}",
            0,
        ),
        (
            "redsync_acquisitions_total{mode=exclusive,outcome=not_a_lock}",
            0,
        ),
        (
            "redsync_acquisitions_total{mode=exclusive,outcome=too_late}",
            0,
        ),
        (
            "redsync_acquisitions_total{mode=exclusive,outcome=too_many_waiting}",
            0,
        ),
        (
            "redsync_acquisitions_total{mode=exclusive,outcome=unavailable}",
            0,
        ),
        ("redsync_lost_total{mode=exclusive}", 0),
        ("redsync_hold_seconds{mode=exclusive}", 5),
        ("redsync_tower_hold_seconds{}", 4),
        // Nobody is left.
        ("redsync_tower_holding{}", 0),
        ("redsync_tower_requests_total{outcome=acquired}", 3),
        ("redsync_tower_requests_total{outcome=bad_request}", 1),
        ("redsync_tower_requests_total{outcome=dropped}", 2),
        ("redsync_tower_requests_total{outcome=taken}", 1),
        ("redsync_tower_requests_total{outcome=timed_out}", 1),
        ("redsync_tower_requests_total{outcome=too_many_waiting}", 1),
        ("redsync_tower_wait_seconds{outcome=acquired}", 4),
        ("redsync_tower_wait_seconds{outcome=dropped}", 1),
        ("redsync_tower_wait_seconds{outcome=taken}", 1),
        ("redsync_tower_wait_seconds{outcome=timed_out}", 1),
        ("redsync_tower_waiting{}", 0),
        ("redsync_wait_seconds{mode=exclusive,outcome=acquired}", 5),
        ("redsync_wait_seconds{mode=exclusive,outcome=dropped}", 1),
        ("redsync_wait_seconds{mode=exclusive,outcome=taken}", 1),
        ("redsync_wait_seconds{mode=exclusive,outcome=timed_out}", 1),
    ];
    assert_eq!(counts(&figures), expected.into());
    // The values are in seconds.
    for (name, seconds) in [
        ("redsync_tower_hold_seconds{}", 0.25),
        ("redsync_hold_seconds{mode=exclusive}", 1.7),
        ("redsync_tower_wait_seconds{outcome=timed_out}", 0.5),
        ("redsync_tower_wait_seconds{outcome=dropped}", 0.2),
        (
            "redsync_wait_seconds{mode=exclusive,outcome=timed_out}",
            0.5,
        ),
        ("redsync_wait_seconds{mode=exclusive,outcome=dropped}", 0.2),
    ] {
        let (_, largest) = figures[name];
        assert!((largest - seconds).abs() < 0.01, "{name}: {largest}");
    }
}

/// The names of all counters. None has grown.
fn counters_at_zero(snapshotter: &Snapshotter) -> BTreeSet<String> {
    let figures = figures(snapshotter).into_iter();
    figures
        .filter(|(name, _)| name.contains("_total{"))
        .map(|(name, (count, _))| {
            assert_eq!(count, 0, "{name}");
            name
        })
        .collect()
}

/// The counters of an alert, and others.
fn of_alerts(mode: &str) -> [String; 5] {
    let acquisitions = |outcome: &str| {
        let labels = format!("mode={mode},outcome={outcome}");
        format!("redsync_acquisitions_total{{{labels}}}")
    };
    [
        acquisitions("misconfigured"),
        acquisitions("not_a_lock"),
        acquisitions("too_late"),
        acquisitions("unavailable"),
        format!("redsync_lost_total{{mode={mode}}}"),
    ]
}

/// Otherwise Prometheus would see the first loss as a counter that has appeared, and not as one
/// that has grown.
#[tokio::test(start_paused = true)]
async fn the_counters_of_alerts_exist_before_there_is_anything_to_count() {
    let (recorded, _listening) = listen();
    let (redsync, _) = nodes();
    let counters = counters_at_zero(&recorded);
    for counter in of_alerts("exclusive") {
        assert!(counters.contains(&counter), "{counter}: {counters:?}");
    }
    assert!(!counters.iter().any(|counter| counter.contains("shared")));

    let mutex = redsync.mutex("order:1");
    let _held = mutex.lock().await.unwrap();
    figures(&recorded);
    let shared = mutex.shared();
    let mut waiting = std::pin::pin!(shared.lock());
    assert!(futures_util::poll!(&mut waiting).is_pending());
    let counters = counters_at_zero(&recorded);
    for counter in of_alerts("shared") {
        assert!(counters.contains(&counter), "{counter}: {counters:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_counters_of_a_recorder_that_came_late_exist_from_the_first_lock() {
    let (redsync, _) = nodes();
    let (recorded, _listening) = listen();
    let _held = redsync.mutex("order:1").lock().await.unwrap();
    let counters = figures(&recorded);
    for counter in of_alerts("exclusive") {
        assert_eq!(counters[&counter].0, 0, "{counter}");
    }
}

#[tokio::test(start_paused = true)]
async fn all_figures_are_described_and_no_label_has_a_name_of_a_lock() {
    let (recorded, _listening) = listen();
    let (redsync, memory) = nodes();
    let stage = Stage::new();
    let app = stage.app(orders(&redsync));
    let first = tokio::spawn({
        let app = app.clone();
        async move { status(&app).await }
    });
    stage.has_begun().await;
    assert_eq!(status(&app).await, 409);
    memory.iter().for_each(redsync::node::MemoryNode::clear);
    stage.let_go();
    assert_eq!(first.await.unwrap(), 500);
    redsync.drain().await;

    let mut names = BTreeSet::new();
    for (key, unit, description, _) in recorded.snapshot().into_vec() {
        let name = key.key().name().to_owned();
        assert!(description.is_some_and(|words| !words.is_empty()), "{name}");
        let seconds = name.ends_with("_seconds");
        let expected = if seconds {
            metrics::Unit::Seconds
        } else {
            metrics::Unit::Count
        };
        assert_eq!(unit, Some(expected), "{name}");
        for label in key.key().labels() {
            assert!(!label.value().contains("order"), "{label:?}");
        }
        names.insert(name);
    }
    let all = [
        "redsync_acquisitions_total",
        "redsync_hold_seconds",
        "redsync_lost_total",
        "redsync_node_seconds",
        "redsync_tower_hold_seconds",
        "redsync_tower_holding",
        "redsync_tower_requests_total",
        "redsync_tower_wait_seconds",
        "redsync_tower_waiting",
        "redsync_wait_seconds",
    ];
    assert_eq!(names, all.map(str::to_owned).into());
}

#[tokio::test]
async fn contention_on_real_servers_is_counted() {
    let (recorded, _listening) = listen();
    let servers = Servers::start(3);
    let redsync = connect(&servers, ms(8000));
    let stage = Stage::new();
    let app = stage.app(orders(&redsync).with_wait(SOON));
    let [first, second] = [(); 2].map(|()| {
        let app = app.clone();
        tokio::spawn(async move { status(&app).await })
    });
    stage.has_begun().await;
    sleep(ms(300)).await;
    stage.let_go();
    stage.let_go();
    assert_eq!((first.await.unwrap(), second.await.unwrap()), (200, 200));
    redsync.drain().await;

    let figures = figures(&recorded);
    assert_eq!(
        figures["redsync_tower_requests_total{outcome=acquired}"].0,
        2
    );
    let (waits, longest) = figures["redsync_tower_wait_seconds{outcome=acquired}"];
    assert!(waits == 2 && (0.25..10.0).contains(&longest), "{longest}");
    assert_eq!(
        figures["redsync_acquisitions_total{mode=exclusive,outcome=acquired}"].0,
        2
    );
    for server in &servers {
        let of = |operation| {
            format!(
                "redsync_node_seconds{{node={},operation={operation}}}",
                server.address()
            )
        };
        // Each node is asked for its identity once, and for a lock at least once: a request that
        // comes while the other holds the lock asks none, if the lock is handed over to it. A node
        // that says that the lock is taken has nothing to release.
        assert_eq!(figures[&of("identity")].0, 1);
        assert!(figures[&of("acquire")].0 >= 1);
        assert!(figures[&of("release")].0 >= 1);
        assert!(figures[&of("release")].1 < 5.0);
    }
    assert!(!figures.keys().any(|name| name.contains("errors")));
    assert_eq!(figures["redsync_lost_total{mode=exclusive}"].0, 0);
}

#[tokio::test]
async fn an_outage_of_real_servers_is_counted() {
    let (recorded, _listening) = listen();
    let servers = Servers::start(3);
    let redsync = connect(&servers, ms(8000));
    let app = taking(orders(&redsync), ms(1));
    assert_eq!(status(&app).await, 200);
    redsync.drain().await;
    servers[0].kill();
    servers[1].kill();
    assert_eq!(status(&app).await, 503);
    let figures = figures(&recorded);
    assert_eq!(
        figures["redsync_tower_requests_total{outcome=unavailable}"].0,
        1
    );
    assert_eq!(
        figures["redsync_acquisitions_total{mode=exclusive,outcome=unavailable}"].0,
        1
    );
    // No lock was held then.
    assert_eq!(figures["redsync_hold_seconds{mode=exclusive}"].0, 1);
    let errors: BTreeSet<_> = figures
        .keys()
        .filter(|name| name.contains("errors"))
        .collect();
    for (index, server) in servers.iter().enumerate() {
        let of_it = errors
            .iter()
            .filter(|name| name.contains(&server.address()));
        let of_it: Vec<_> = of_it.collect();
        assert_eq!(of_it.is_empty(), index == 2, "{errors:?}");
        for name in of_it {
            assert!(
                name.contains("kind=unreachable") || name.contains("kind=disconnected"),
                "{name}"
            );
        }
    }
}

#[tokio::test]
async fn a_server_that_hangs_is_counted() {
    let (recorded, _listening) = listen();
    let servers = Servers::start(3);
    let redsync = connect(&servers, ms(3000));
    let app = taking(orders(&redsync), ms(1));
    assert_eq!(status(&app).await, 200);
    redsync.drain().await;
    servers[1].stop();
    assert_eq!(status(&app).await, 200);
    // Nobody is kept waiting, and it is counted all the same.
    let hangs = servers[1].address();
    until_async("it is counted", SOON, async || {
        let figures = figures(&recorded);
        let failed =
            format!("redsync_node_errors_total{{kind=unanswered,node={hangs},operation=acquire}}");
        figures.contains_key(&failed)
    })
    .await;
    servers[1].cont();
}

#[tokio::test]
async fn keys_that_real_servers_lose_are_counted() {
    let (recorded, _listening) = listen();
    let servers = Servers::start(3);
    let redsync = connect(&servers, ms(5000));
    let stage = Stage::new();
    let app = stage.app(orders(&redsync));
    let request = tokio::spawn(async move { status(&app).await });
    stage.has_begun().await;
    until_async("all have it", SOON, async || {
        servers.holders("order:1").iter().all(Option::is_some)
    })
    .await;
    for server in &servers {
        server.flush();
    }
    assert_eq!(request.await.unwrap(), 500);
    redsync.drain().await;
    let figures = figures(&recorded);
    assert_eq!(figures["redsync_tower_requests_total{outcome=lost}"].0, 1);
    assert_eq!(figures["redsync_lost_total{mode=exclusive}"].0, 1);
    assert_eq!(figures["redsync_hold_seconds{mode=exclusive}"].0, 1);
    assert_eq!(figures["redsync_tower_hold_seconds{}"].0, 1);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_lost_is_counted_when_it_is_and_once() {
    let (recorded, _listening) = listen();
    let (redsync, memory) = nodes();
    let mut guard = redsync.mutex("order:1").lock().await.unwrap();
    guard.keep_alive();
    memory.iter().for_each(redsync::node::MemoryNode::clear);
    sleep(ms(8000)).await;
    assert_eq!(
        figures(&recorded)["redsync_lost_total{mode=exclusive}"].0,
        1
    );
    guard.release().await.unwrap();
    redsync.drain().await;
    let figures = figures(&recorded);
    assert_eq!(figures["redsync_lost_total{mode=exclusive}"].0, 0, "again");
    assert_eq!(figures["redsync_hold_seconds{mode=exclusive}"].0, 1);

    // The same for a lock that is not extended.
    let guard = redsync.mutex("order:2").lock().await.unwrap();
    sleep(ms(8000)).await;
    drop(guard);
    assert_eq!(
        self::figures(&recorded)["redsync_lost_total{mode=exclusive}"].0,
        1
    );
}

#[tokio::test]
async fn gauges_show_who_waits_and_who_holds_and_labels_tell_layers_apart() {
    let (recorded, _listening) = listen();
    let (redsync, _) = nodes();
    let stage = Stage::new();
    let unlabelled = orders(&redsync).with_wait(SOON);
    let [first, second] = ["first", "second"].map(|label| {
        let lock = unlabelled.clone().with_label(label);
        stage.app(lock.with_prefix(label))
    });
    let gauges = Gauges::new(recorded);
    let mut requests = Vec::new();
    for _ in 0..3 {
        let app = first.clone();
        requests.push(tokio::spawn(async move { status(&app).await }));
    }
    stage.has_begun().await;
    gauges
        .show([("waiting", "first", 2), ("holding", "first", 1)])
        .await;
    requests.push(tokio::spawn(async move { status(&second).await }));
    stage.has_begun().await;
    gauges
        .show([("holding", "first", 1), ("holding", "second", 1)])
        .await;
    // Those who leave are not counted any longer.
    requests.drain(..).for_each(|request| request.abort());
    gauges
        .show([("waiting", "first", 0), ("holding", "first", 0)])
        .await;
    gauges
        .show([("waiting", "second", 0), ("holding", "second", 0)])
        .await;
    redsync.drain().await;
}

/// The gauges of layers. A snapshot has only what has changed since the one before.
struct Gauges(Snapshotter, RefCell<BTreeMap<String, f64>>);

impl Gauges {
    fn new(recorded: Snapshotter) -> Self {
        Self(recorded, RefCell::default())
    }

    /// Waits until they show these numbers, by name and label.
    async fn show(&self, expected: [(&str, &str, u32); 2]) {
        until_async("the gauges show it", SOON, async || {
            let mut all = self.1.borrow_mut();
            for (name, (_, change)) in figures(&self.0) {
                *all.entry(name).or_default() += change;
            }
            expected.iter().all(|(name, layer, number)| {
                let name = format!("redsync_tower_{name}{{layer={layer}}}");
                all.get(&name) == Some(&f64::from(*number))
            })
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_callback_panics_is_counted_once() {
    let (snapshotter, _listening) = listen();
    let (redsync, _) = nodes();
    let lock = orders(&redsync)
        .on_refused(|_: &LockRejection, _: Duration, _: &Span| panic!("on_refused"))
        .on_lost(|_: &str, _: Duration, _: &Span| panic!("on_lost"));
    let panics = async |lock: RedlockLayer<key::PathKey>| {
        let app = taking(lock, ms(2000));
        let request = tokio::spawn(async move { status(&app).await });
        assert!(request.await.unwrap_err().is_panic());
        let figures = figures(&snapshotter).into_iter();
        figures
            .map(|(name, (count, _))| (name, count))
            .filter(|(name, count)| name.starts_with("redsync_tower") && *count > 0)
            .collect::<Vec<_>>()
    };
    let one = |name: &str| (format!("redsync_tower_{name}"), 1);

    let held = redsync.mutex("order:1").lock().await.unwrap();
    assert_eq!(
        panics(lock.clone()).await,
        [
            one("requests_total{outcome=taken}"),
            one("wait_seconds{outcome=taken}"),
        ]
    );
    held.release().await.unwrap();
    let short = lock.with_keep_alive(false).with_expiry(ms(1000));
    assert_eq!(
        panics(short).await,
        [
            one("hold_seconds{}"),
            one("requests_total{outcome=lost}"),
            one("wait_seconds{outcome=acquired}"),
        ]
    );
}
