//! What an operator sees at level `info`: nodes that fail and work again, outages, and lost locks.

use std::{
    fmt,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::FutureExt;
use redsync::{
    Redsync,
    node::{Entry, MemoryNode, Node},
};
use redsync_tests::{
    FaultyNode, Proxy, RedisServer, RefusingProxy, Servers,
    faulty::{Fault, Operation},
    wait::until_async,
};
use tokio::{runtime::Builder, task::yield_now, time::sleep};
use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
    subscriber::DefaultGuard,
};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

const SOON: Duration = Duration::from_secs(20);

/// The lines of a log at level `info`.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    /// Listens on this thread, until the guard is dropped.
    fn listen() -> (Self, DefaultGuard) {
        let log = Self::default();
        let subscriber = tracing_subscriber::registry().with(log.clone());
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// The lines that contain all of these words.
    fn lines(&self, words: &[&str]) -> Vec<String> {
        let lines = self.0.lock().unwrap();
        let has_all = |line: &&String| words.iter().all(|word| line.contains(word));
        lines.iter().filter(has_all).cloned().collect()
    }

    #[track_caller]
    fn assert_once(&self, words: &[&str]) {
        let lines = self.lines(words);
        assert_eq!(lines.len(), 1, "{words:?} in {:#?}", self.0.lock().unwrap());
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let metadata = event.metadata();
        if *metadata.level() <= Level::INFO && metadata.target().starts_with("redsync") {
            let mut line = Line(metadata.level().to_string());
            event.record(&mut line);
            self.0.lock().unwrap().push(line.0);
        }
    }
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!(" {field}={value:?}"));
    }
}

fn connect(urls: impl IntoIterator<Item = String>) -> Redsync {
    let redsync = Redsync::connect(urls).unwrap();
    redsync
        .with_defaults(|mutex| {
            mutex
                .with_fail_fast(false)
                .with_retry_delay_range(Duration::from_millis(10)..Duration::from_millis(50))
        })
        .unwrap()
}

/// Locks and releases on all nodes.
async fn lock(redsync: &Redsync) {
    let guard = redsync.mutex("a").lock_within(SOON).await.unwrap();
    let _ = guard.release().await;
}

async fn until_logged(log: &Log, redsync: &Redsync, words: &[&str]) {
    until_async(&format!("{words:?}"), SOON, async || {
        lock(redsync).await;
        !log.lines(words).is_empty()
    })
    .await;
}

#[tokio::test]
async fn a_node_that_is_down_is_reported_once_and_its_return_once() {
    let (log, _guard) = Log::listen();
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    lock(&redsync).await;
    assert_eq!(log.lines(&[]), [""; 0]);
    let address = servers[0].address();
    servers[0].kill();
    for _ in 0..20 {
        lock(&redsync).await;
    }
    log.assert_once(&["WARN", &address]);
    servers[0].restart();
    until_logged(&log, &redsync, &["INFO", &address]).await;
    for _ in 0..5 {
        lock(&redsync).await;
    }
    log.assert_once(&["WARN", &address, "does not work", "reason="]);
    log.assert_once(&["INFO", &address, "works again", "failures="]);
    assert_eq!(log.lines(&[]).len(), 2, "{:?}", log.lines(&[]));
}

#[tokio::test]
async fn a_node_that_hangs_is_reported_before_its_questions_time_out() {
    let (log, _guard) = Log::listen();
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    let redsync = redsync
        .with_defaults(|mutex| mutex.with_fail_fast(true))
        .unwrap();
    let mutex = redsync.mutex("a").with_expiry(Duration::from_secs(60));
    let lock = async || mutex.lock().await.unwrap().release().await.unwrap();
    lock().await;
    let address = servers[0].address();
    servers[0].stop();
    until_async("a report", Duration::from_secs(5), async || {
        lock().await;
        !log.lines(&["WARN", &address]).is_empty()
    })
    .await;
    servers[0].cont();
    until_async("its end", SOON, async || {
        lock().await;
        !log.lines(&["INFO", &address]).is_empty()
    })
    .await;
    log.assert_once(&["WARN", &address, "does not work"]);
    log.assert_once(&["INFO", &address, "works again"]);
}

#[tokio::test]
async fn a_connection_that_was_forgotten_is_reported_once_and_not_the_node() {
    let (log, _guard) = Log::listen();
    let servers = Servers::start(3);
    let proxy = Proxy::start(servers[0].port()).await;
    let urls = [proxy.url(), servers[1].url(), servers[2].url()];
    let redsync = connect(urls);
    lock(&redsync).await;
    for _ in 0..3 {
        redsync.drain().await;
        proxy.forget();
        // Longer than a connection may be idle without a check.
        sleep(Duration::from_millis(1200)).await;
        lock(&redsync).await;
    }
    log.assert_once(&["WARN", &format!("127.0.0.1:{}", proxy.port()), "silent"]);
    assert_eq!(log.lines(&[]).len(), 1, "{:?}", log.lines(&[]));
}

#[tokio::test]
async fn a_wrong_password_is_reported_once_and_its_end_once() {
    let (log, _guard) = Log::listen();
    let servers = Servers::start(2);
    let closed = RedisServer::start_with(&["--requirepass", "right"]);
    let url = closed.url().replace("redis://", "redis://:wrong@");
    let redsync = connect(servers.urls().into_iter().chain([url]));
    for _ in 0..10 {
        lock(&redsync).await;
    }
    let address = closed.address();
    log.assert_once(&["WARN", &address, "password"]);
    closed.command(&["CONFIG", "SET", "requirepass", "wrong"]);
    until_logged(&log, &redsync, &["INFO", &address]).await;
    assert_eq!(log.lines(&[]).len(), 2, "{:?}", log.lines(&[]));
    assert!(log.lines(&["wrong@"]).is_empty());
}

#[tokio::test]
async fn a_node_that_refuses_one_operation_is_reported_once_though_it_allows_the_others() {
    let (log, _guard) = Log::listen();
    let servers = Servers::start(2);
    let limited = RedisServer::start();
    let url = limited.url().replace("redis://", "redis://user:word@");
    let redsync = connect(servers.urls().into_iter().chain([url]));
    limited.command(&["ACL", "SETUSER", "user", "on", ">word", "~*", "+@all"]);
    lock(&redsync).await;
    let extend = async || {
        let guard = redsync.mutex("a").lock_within(SOON).await.unwrap();
        guard.extend().await.unwrap();
        let _ = guard.release().await;
    };
    limited.command(&["ACL", "SETUSER", "user", "-pexpire"]);
    let address = limited.address();
    // The two other nodes decide, and may answer first.
    until_async("a refusal", SOON, async || {
        extend().await;
        !log.lines(&["WARN", &address]).is_empty()
    })
    .await;
    for _ in 0..10 {
        extend().await;
    }
    redsync.drain().await;
    log.assert_once(&["WARN", &address]);
    limited.command(&["ACL", "SETUSER", "user", "+@all"]);
    until_async("a success", SOON, async || {
        extend().await;
        !log.lines(&["INFO", &address]).is_empty()
    })
    .await;
    assert_eq!(log.lines(&[]).len(), 2, "{:?}", log.lines(&[]));
}

#[tokio::test]
async fn a_node_that_cannot_track_is_reported_once() {
    let (log, _guard) = Log::listen();
    let server = RedisServer::start();
    server.command(&[
        "ACL", "SETUSER", "user", "on", ">word", "~*", "+@all", "-client",
    ]);
    let redsync = connect([server.url().replace("redis://", "redis://user:word@")]);
    let held = redsync.mutex("a").lock().await.unwrap();
    let other = connect([server.url().replace("redis://", "redis://user:word@")]);
    for _ in 0..3 {
        let mutex = other.mutex("a").with_expiry(Duration::from_secs(2));
        mutex
            .lock_within(Duration::from_millis(1200))
            .await
            .unwrap_err();
    }
    log.assert_once(&["WARN", &server.address(), "wake-ups"]);
    assert_eq!(log.lines(&["WARN"]).len(), 1, "{:?}", log.lines(&[]));

    server.command(&["ACL", "SETUSER", "user", "+client"]);
    until_async("wake-ups again", SOON, async || {
        let wait = other.mutex("a").lock_within(Duration::from_millis(300));
        wait.await.unwrap_err();
        !log.lines(&["INFO", &server.address(), "sends wake-ups again"])
            .is_empty()
    })
    .await;
    assert_eq!(log.lines(&[]).len(), 2, "{:?}", log.lines(&[]));
    held.release().await.unwrap();
}

#[tokio::test]
async fn a_node_that_cannot_release_is_reported_once_and_when_it_can() {
    let (log, _guard) = Log::listen();
    let servers = Servers::start(2);
    let limited = RedisServer::start();
    limited.command(&["ACL", "SETUSER", "user", "on", ">word", "~*", "+set"]);
    let url = limited.url().replace("redis://", "redis://user:word@");
    let redsync = connect(servers.urls().into_iter().chain([url]));
    for _ in 0..10 {
        lock(&redsync).await;
    }
    let address = limited.address();
    log.assert_once(&["WARN", &address, "cannot release locks"]);
    limited.command(&["ACL", "SETUSER", "user", "+@all"]);
    until_logged(&log, &redsync, &["INFO", &address, "works again"]).await;
    log.assert_once(&["INFO", &address, "cannot release locks"]);
    assert_eq!(log.lines(&[]).len(), 2, "{:?}", log.lines(&[]));
}

#[tokio::test]
async fn a_proxy_that_closes_the_connections_for_wake_ups_is_reported_once() {
    for command in ["HELLO", "CLIENT TRACKING"] {
        let (log, _guard) = Log::listen();
        let server = RedisServer::start();
        let proxy = RefusingProxy::closing(server.port(), &[command]);
        let redsync = connect([proxy.url()]);
        let mutex = redsync.mutex("a").with_expiry(3 * SOON);
        let guard = mutex.lock_within(SOON).await.unwrap();
        let reported = ["WARN", "sends no wake-ups", "lost the connection"];
        until_async("a report", SOON, async || {
            // It waits, so it wants wake-ups.
            let wait = redsync.mutex("a").lock_within(Duration::from_millis(100));
            assert!(wait.await.unwrap_err().is_contention());
            !log.lines(&reported).is_empty()
        })
        .await;
        log.assert_once(&reported);
        drop(guard);
        redsync.drain().await;
    }
}

#[tokio::test]
async fn an_outage_is_reported_when_it_begins_and_when_it_is_over() {
    let (log, _guard) = Log::listen();
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    lock(&redsync).await;
    servers[0].kill();
    servers[1].kill();
    for _ in 0..10 {
        redsync.mutex("a").try_lock().await.unwrap_err();
    }
    log.assert_once(&["WARN", "too few nodes"]);
    servers[0].restart();
    until_logged(&log, &redsync, &["INFO", "enough nodes", "attempts=10"]).await;
    log.assert_once(&["INFO", "enough nodes"]);
    // The outage, and two nodes of which one is back.
    until_logged(&log, &redsync, &["INFO", "works again"]).await;
    assert_eq!(log.lines(&[]).len(), 5, "{:?}", log.lines(&[]));
}

#[tokio::test(start_paused = true)]
async fn an_outage_that_lasts_is_reported_every_ten_seconds_with_its_attempts() {
    let (log, _guard) = Log::listen();
    let nodes = [(); 3].map(|()| FaultyNode::new());
    for node in &nodes {
        node.always(Fault::unreachable());
    }
    let redsync = Redsync::new(nodes).unwrap();
    for _ in 0..25 {
        redsync.mutex("a").try_lock().await.unwrap_err();
        sleep(Duration::from_secs(1)).await;
    }
    log.assert_once(&["WARN", "too few nodes answer; no lock"]);
    let lasting = log.lines(&["WARN", "the outage goes on", "attempts="]);
    assert_eq!(lasting.len(), 2, "{lasting:?}");
    for (line, attempts) in lasting.iter().zip([11, 21]) {
        assert!(line.contains(&format!("attempts={attempts}")), "{line}");
    }
}

/// What a node answers about a lock that is lost, of two nodes.
const LOST: [&str; 2] = ["had no key", "had another's key"];

/// Takes the lock of `a` away: the first nodes answer [`LOST`], and the last does not answer.
fn lose(servers: &Servers) {
    servers[0].flush();
    servers[1].command(&["SET", "a", "another"]);
    servers[2].kill();
}

#[tokio::test]
async fn a_lost_lock_says_what_each_node_answered() {
    let (log, _guard) = Log::listen();
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    let guard = redsync.mutex("a").lock().await.unwrap();
    lose(&servers);
    let error = guard.extend().await.unwrap_err().to_string();
    let lines = log.lines(&["WARN", "lost"]);
    assert_eq!(lines.len(), 1, "{lines:?}");
    for (server, answer) in servers.iter().zip(LOST) {
        let said = format!("{} {answer}", server.address());
        assert!(lines[0].contains(&said), "{lines:?}");
        assert!(error.contains(&said), "{error}");
    }
}

/// Two answers are enough for the loss to be certain.
#[tokio::test]
async fn a_lock_that_is_lost_before_all_nodes_have_answered_names_the_others() {
    let (log, _guard) = Log::listen();
    let servers = Servers::start(3);
    let redsync = Redsync::connect(servers.urls()).unwrap();
    // The last node does not answer before its time is over, which never comes.
    let mutex = redsync.mutex("a").with_expiry(Duration::from_secs(60));
    let guard = mutex.with_node_timeout(SOON).lock().await.unwrap();
    redsync.drain().await;
    servers[0].flush();
    servers[1].command(&["SET", "a", "another"]);
    servers[2].stop();
    guard.extend().await.unwrap_err();
    let answers = [LOST[0], LOST[1], "was not waited for"];
    for (server, answer) in servers.iter().zip(answers) {
        log.assert_once(&["WARN", "lost", &format!("{} {answer}", server.address())]);
    }
}

#[tokio::test]
async fn a_lock_that_a_verification_finds_lost_says_what_each_node_answered() {
    let (log, _guard) = Log::listen();
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    let guard = redsync.mutex("a").lock().await.unwrap();
    lose(&servers);
    assert!(!guard.verify().await.unwrap());
    for (server, answer) in servers.iter().zip(LOST) {
        log.assert_once(&["WARN", "lost", &format!("{} {answer}", server.address())]);
    }
}

#[tokio::test]
async fn a_lock_that_was_lost_because_no_node_answered_says_so() {
    let (log, _guard) = Log::listen();
    let servers = Servers::start(3);
    let redsync = connect(servers.urls());
    let mutex = redsync.mutex("a").with_expiry(Duration::from_secs(1));
    let mut guard = mutex.lock().await.unwrap();
    guard.keep_alive();
    assert!(guard.lost().now_or_never().is_none());
    servers.iter().for_each(RedisServer::kill);
    guard.lost().await;
    until_async("a report", SOON, async || {
        !log.lines(&["WARN", "lost"]).is_empty()
    })
    .await;
    for server in &servers {
        log.assert_once(&["lost", &server.address(), "cannot be reached"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_lost_while_it_is_kept_alive_is_reported_once() {
    let (log, _guard) = Log::listen();
    let nodes = [(); 3].map(|()| MemoryNode::new());
    let redsync = Redsync::new(nodes.clone()).unwrap();
    let mut guard = redsync.mutex("a").lock().await.unwrap();
    guard.keep_alive();
    nodes.iter().for_each(MemoryNode::clear);
    guard.lost().await;
    sleep(SOON).await;
    drop(guard);
    log.assert_once(&["WARN", "the lock was lost"]);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_never_answers_is_reported_though_nothing_else_is_asked() {
    let (log, _guard) = Log::listen();
    let nodes = [(); 3].map(|()| FaultyNode::new());
    nodes[0].always(Fault::lost_request());
    let redsync = Redsync::new(nodes.clone()).unwrap();
    drop(redsync.mutex("a").lock().await.unwrap());
    redsync.drain().await;
    log.assert_once(&["WARN", nodes[0].address(), "does not work"]);
}

#[test]
fn a_question_that_ends_with_its_runtime_says_nothing_about_the_node() {
    let (log, _guard) = Log::listen();
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let nodes = [(); 3].map(|()| FaultyNode::new());
    for node in &nodes {
        node.always(Fault::lost_request());
    }
    let redsync = Redsync::new(nodes).unwrap();
    runtime.block_on(async {
        tokio::spawn(redsync.mutex("a").lock());
        yield_now().await;
    });
    drop(runtime);
    assert_eq!(log.lines(&["does not work"]), [""; 0]);
}

/// Half of an even number of nodes can refuse while the other half fails.
#[tokio::test(start_paused = true)]
async fn an_outage_is_not_over_when_half_of_the_nodes_refuse() {
    let (log, _guard) = Log::listen();
    let nodes = [(); 2].map(|()| FaultyNode::new());
    let redsync = Redsync::new(nodes.clone()).unwrap();
    nodes[1].always(Fault::unreachable());
    let mutex = redsync.mutex("a");
    mutex.try_lock().await.unwrap_err();
    redsync.drain().await;
    let another = Entry::new("a", "another".into(), SOON);
    nodes[0].acquire(&another).await.unwrap();
    sleep(SOON / 4).await;
    assert!(mutex.try_lock().await.unwrap_err().is_contention());
    assert_eq!(log.lines(&["enough nodes answer again"]), [""; 0]);
    nodes[1].always(Fault::none());
    nodes[0].release(&another).await.unwrap();
    drop(mutex.try_lock().await.unwrap());
    log.assert_once(&["enough nodes answer again"]);
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_over_when_a_majority_refuses() {
    let (log, _guard) = Log::listen();
    let nodes = [(); 3].map(|()| FaultyNode::new());
    let redsync = Redsync::new(nodes.clone()).unwrap();
    for node in &nodes[1..] {
        node.always(Fault::unreachable());
    }
    let mutex = redsync.mutex("a");
    mutex.try_lock().await.unwrap_err();
    redsync.drain().await;
    nodes[1].always(Fault::none());
    let another = Entry::new("a", "another".into(), SOON);
    for node in &nodes[..2] {
        node.acquire(&another).await.unwrap();
    }
    sleep(SOON / 4).await;
    assert!(mutex.try_lock().await.unwrap_err().is_contention());
    log.assert_once(&["enough nodes answer again"]);
}

/// Only the log has them: the caller gets the error of the node.
#[tokio::test]
async fn each_holder_that_a_node_releases_by_force_is_named_although_it_fails_at_the_next() {
    let (log, _guard) = Log::listen();
    let node = FaultyNode::new();
    let redsync = Redsync::new([node.clone()]).unwrap();
    let mutex = redsync.semaphore("a", 2);
    let _holders = [mutex.lock().await.unwrap(), mutex.lock().await.unwrap()];
    let mut releases = 0;
    node.plan(move |operation| {
        releases += u32::from(operation == Operation::Release);
        if releases > 1 {
            Fault::unreachable()
        } else {
            Fault::none()
        }
    });
    let released = mutex.force_release().await.unwrap();
    assert!(released[0].holders.is_err());
    log.assert_once(&["WARN", "by force"]);
}
