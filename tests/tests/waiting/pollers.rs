//! Clients that poll, as those of go-redsync do: nobody is notified of their attempts, and they are not
//! notified of a release.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use futures_util::future::join_all;
use redis::{AsyncConnectionConfig, Script, aio::MultiplexedConnection};
use redsync::{
    Redsync,
    node::{AcquireVote, Entry, MemoryNode, Node, WakeUp, redis::RedisNode},
};
use redsync_tests::{
    FaultyNode, RedisServer, Servers, UNLOCK_OF_GO, faulty::Fault, wait::until_async,
};
use tokio::{
    runtime,
    sync::oneshot,
    task::{JoinSet, yield_now},
    time::{Instant, advance, sleep, sleep_until, timeout},
};

use crate::{NAME, SOON, WAIT, fairness::from_afar, ms};

/// The defaults of go-redsync.
const TRIES: u32 = 32;
const EXPIRY: Duration = Duration::from_secs(8);

/// How often the client calls `Lock`.
const EVERY: Duration = ms(100);

/// What go-redsync does with its nodes.
trait Poll {
    /// Returns the value, if a majority has set it.
    async fn attempt(&self) -> Option<String>;

    /// Compares and deletes.
    async fn release(&self, value: &str);

    async fn pause(&self) {
        sleep(Duration::from_micros(fastrand::u64(50_000..250_000))).await;
    }

    async fn lock(&self) -> Option<String> {
        for tries in 1..=TRIES {
            if tries > 1 {
                self.pause().await;
            }
            if let Some(value) = self.attempt().await {
                return Some(value);
            }
        }
        None
    }
}

fn fresh() -> String {
    format!("{:032x}", fastrand::u128(..))
}

/// On servers, by plain commands.
#[derive(Clone)]
struct OnServers(Vec<MultiplexedConnection>);

impl OnServers {
    async fn connect(urls: &[String]) -> Self {
        let connections = urls.iter().map(async |url| {
            let client = redis::Client::open(url.as_str()).expect("a URL");
            let patient = AsyncConnectionConfig::new()
                .set_connection_timeout(Some(SOON))
                .set_response_timeout(Some(SOON));
            let connection = client.get_multiplexed_async_connection_with_config(&patient);
            connection.await.expect("a connection")
        });
        Self(join_all(connections).await)
    }
}

impl Poll for OnServers {
    async fn attempt(&self) -> Option<String> {
        let value = fresh();
        let mut set = redis::cmd("SET");
        set.arg(NAME).arg(&value).arg("NX");
        set.arg("PX").arg(EXPIRY.as_millis() as u64);
        let votes = join_all(self.0.iter().map(async |node| {
            let mut node = node.clone();
            let reply: Option<String> = set.query_async(&mut node).await.expect("an answer");
            reply.is_some()
        }));
        if votes.await.into_iter().filter(|vote| *vote).count() > self.0.len() / 2 {
            return Some(value);
        }
        self.release(&value).await;
        None
    }

    async fn release(&self, value: &str) {
        let script = Script::new(UNLOCK_OF_GO);
        join_all(self.0.iter().map(async |node| {
            let mut node = node.clone();
            let mut script = script.prepare_invoke();
            let deleted = script.key(NAME).arg(value).invoke_async(&mut node).await;
            let _: i64 = deleted.expect("an answer");
        }))
        .await;
    }

    async fn pause(&self) {
        sleep(ms(fastrand::u64(50..249))).await;
        // The timers of several runtimes end with the same millisecond, and their tasks would meet
        // more often than those of processes do.
        thread::sleep(Duration::from_micros(fastrand::u64(..1000)));
    }
}

/// On nodes in memory.
struct InMemory<N = MemoryNode>(Vec<N>);

impl InMemory {
    fn entry(value: &str) -> Entry {
        Entry::new(NAME, value.into(), EXPIRY)
    }
}

impl<N: Node> Poll for InMemory<N> {
    async fn attempt(&self) -> Option<String> {
        let value = fresh();
        let entry = InMemory::entry(&value);
        let votes = join_all(self.0.iter().map(|node| node.acquire(&entry))).await;
        let granted = |vote: &_| matches!(vote, Ok(AcquireVote::Acquired { .. }));
        if votes.iter().filter(|vote| granted(*vote)).count() > self.0.len() / 2 {
            return Some(value);
        }
        self.release(&value).await;
        None
    }

    async fn release(&self, value: &str) {
        let entry = InMemory::entry(value);
        join_all(self.0.iter().map(|node| node.release(&entry))).await;
    }
}

/// What a client got.
#[derive(Clone, Copy, Debug, Default)]
struct Calls {
    locks: u32,
    failures: u32,
}

/// Calls `Lock` and `Unlock` over and over. What has begun by the end of the span is finished.
async fn call(poller: impl Poll, span: Duration) -> Calls {
    let mut calls = Calls::default();
    let end = Instant::now() + span;
    while Instant::now() < end {
        let next = Instant::now() + EVERY;
        match poller.lock().await {
            Some(value) => {
                calls.locks += 1;
                sleep(ms(5)).await;
                poller.release(&value).await;
            }
            None => calls.failures += 1,
        }
        sleep_until(next).await;
    }
    calls
}

/// Tasks of a process that always has waiters for the name. Their sections are counted.
fn hot(redsync: &Redsync, tasks: usize, hold: Duration) -> (JoinSet<()>, Arc<AtomicU32>) {
    hot_with(redsync, tasks, move || sleep(hold))
}

/// The same, with sections of any kind.
fn hot_with<S: Future<Output = ()> + Send + 'static>(
    redsync: &Redsync,
    tasks: usize,
    section: impl Fn() -> S + Clone + Send + Sync + 'static,
) -> (JoinSet<()>, Arc<AtomicU32>) {
    let sections = Arc::new(AtomicU32::new(0));
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let (mutex, sections) = (redsync.mutex(NAME), Arc::clone(&sections));
        let section = section.clone();
        running.spawn(async move {
            loop {
                let guard = mutex.lock_within(WAIT).await.expect("a lock");
                section().await;
                sections.fetch_add(1, Ordering::Relaxed);
                guard.release().await.expect("an answer");
            }
        });
    }
    (running, sections)
}

#[tokio::test(start_paused = true)]
async fn a_poller_is_served_beside_a_busy_process_that_loses_a_tenth_at_most() {
    const SPAN: Duration = Duration::from_secs(60);
    // With two, the queue is empty each time that the lock is handed over.
    for (tasks, hold) in [(2, ms(8)), (3, ms(2)), (16, ms(2))] {
        let mut calls = Calls::default();
        let mut sections = [0; 2];
        for polls in [false, true] {
            fastrand::seed(tasks as u64);
            let stores: Vec<_> = (0..3).map(|_| MemoryNode::new()).collect();
            let (mut running, count) = hot(&from_afar(&stores, ms(1)), tasks, hold);
            sleep(ms(500)).await;
            let before = count.load(Ordering::Relaxed);
            if polls {
                let end = Instant::now() + SPAN;
                calls = call(InMemory(stores), SPAN).await;
                sleep_until(end).await;
            } else {
                sleep(SPAN).await;
            }
            sections[usize::from(polls)] = count.load(Ordering::Relaxed) - before;
            running.shutdown().await;
        }
        let [alone, beside] = sections;
        println!("{tasks} tasks in {SPAN:?}: {alone} sections alone, {beside} beside {calls:?}");
        assert_eq!(calls.failures, 0, "{tasks} tasks");
        // As many as a client of go-redsync gets beside a busy process of its kind.
        assert!(u64::from(calls.locks) >= SPAN.as_secs(), "{calls:?}");
        assert!(beside * 10 >= alone * 9, "{beside} of {alone}");
    }
}

/// Processes that leave the name to each other do not leave it open. A client finds it free between
/// their turns.
#[tokio::test(start_paused = true)]
async fn a_poller_is_served_beside_two_busy_processes_and_some_of_its_calls_fail() {
    const SPAN: Duration = Duration::from_secs(60);
    for (tasks, hold) in [(3, ms(2)), (16, ms(2))] {
        fastrand::seed(tasks as u64);
        let stores: Vec<_> = (0..3).map(|_| MemoryNode::new()).collect();
        let (mut one, ones) = hot(&from_afar(&stores, ms(1)), tasks, hold);
        let (mut other, others) = hot(&from_afar(&stores, ms(1)), tasks, hold);
        sleep(ms(500)).await;
        let calls = call(InMemory(stores), SPAN).await;
        let sections = [&ones, &others].map(|count| count.load(Ordering::Relaxed));
        println!("beside {sections:?} sections of {tasks} tasks in each of two: {calls:?}");
        assert!(u64::from(calls.locks) >= SPAN.as_secs(), "{calls:?}");
        assert!(calls.failures * 10 <= calls.locks, "{calls:?}");
        one.shutdown().await;
        other.shutdown().await;
    }
}

/// Resolves when a busy process has left the name open: it is free for longer than a release and
/// the next attempt of the process take.
async fn is_open(stores: &[MemoryNode]) {
    let mut free = 0;
    while free < 20 {
        sleep(ms(1)).await;
        let found = join_all(stores.iter().map(|store| store.inspect(NAME))).await;
        let is_free = found
            .iter()
            .all(|found| found.as_ref().is_ok_and(Option::is_none));
        free = if is_free { free + 1 } else { 0 };
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_takes_the_name_again_when_somebody_has_come() {
    let stores: Vec<_> = (0..3).map(|_| MemoryNode::new()).collect();
    let (mut running, sections) = hot(&from_afar(&stores, ms(1)), 3, ms(2));
    timeout(SOON, is_open(&stores)).await.expect("an opening");
    let poller = InMemory(stores);
    let value = poller.attempt().await.expect("the name is open");
    sleep(ms(5)).await;
    let before = sections.load(Ordering::Relaxed);
    poller.release(&value).await;
    // The name would be open for four times as long if nobody came.
    sleep(ms(50)).await;
    assert!(sections.load(Ordering::Relaxed) > before);
    running.shutdown().await;
}

/// Sections that are much shorter than a message takes to a node.
const SHORT: Duration = Duration::from_micros(100);

/// Nodes as seen from a millisecond away, without wake-ups.
fn a_millisecond_away(stores: &[MemoryNode]) -> InMemory<FaultyNode> {
    let nodes = stores.iter().map(|store| {
        let node = FaultyNode::around(store.clone());
        node.always(Fault::late_request(ms(1)).and_late_reply(ms(1)));
        node
    });
    InMemory(nodes.collect())
}

/// Returns what a client gets beside 16 tasks of its own kind, with short sections.
async fn beside_its_own_kind(span: Duration) -> Calls {
    let stores: Vec<_> = (0..3).map(|_| MemoryNode::new()).collect();
    let mut running = JoinSet::new();
    for _ in 0..16 {
        let poller = a_millisecond_away(&stores);
        running.spawn(async move {
            loop {
                if let Some(value) = poller.lock().await {
                    advance(SHORT).await;
                    poller.release(&value).await;
                }
            }
        });
    }
    let calls = call(a_millisecond_away(&stores), span).await;
    running.shutdown().await;
    calls
}

/// Returns what a client gets beside 16 tasks of this crate, with short sections, and how many of
/// these there were.
async fn beside_tasks_of_ours(share: f64, polls: bool, span: Duration) -> (Calls, u32) {
    let stores: Vec<_> = (0..3).map(|_| MemoryNode::new()).collect();
    let redsync = from_afar(&stores, ms(1));
    let redsync = redsync.with_defaults(|mutex| mutex.with_time_for_pollers(share));
    let (mut running, sections) = hot_with(&redsync.unwrap(), 16, || advance(SHORT));
    let end = Instant::now() + span;
    let calls = if polls {
        call(a_millisecond_away(&stores), span).await
    } else {
        Calls::default()
    };
    sleep_until(end).await;
    running.shutdown().await;
    (calls, sections.load(Ordering::Relaxed))
}

/// With short sections, a client finds a process of its own kind without the lock every other time,
/// and a process of this crate only when it leaves the name open.
#[tokio::test(start_paused = true)]
async fn a_poller_gets_as_much_as_beside_its_own_kind_from_a_process_that_leaves_it_half_its_time()
{
    const SPAN: Duration = Duration::from_secs(30);
    fastrand::seed(7);
    let usual = beside_its_own_kind(SPAN).await;
    println!("in {SPAN:?}, beside 16 tasks of its own kind: {usual:?}");
    let (_, alone) = beside_tasks_of_ours(0.0, false, SPAN).await;
    for share in [0.1, 0.25, 0.5] {
        let (calls, sections) = beside_tasks_of_ours(share, true, SPAN).await;
        println!(
            "beside 16 of ours that leave it {share} of their time: {calls:?}, and {sections} \
             sections; without openings, {alone}"
        );
        assert_eq!(calls.failures, 0, "{share}: {calls:?}");
        // Of those sections that there are without openings.
        assert!(
            f64::from(sections) >= (0.95 - share) * f64::from(alone),
            "{share}: {sections} of {alone}"
        );
        if share == 0.5 {
            assert!(calls.locks >= usual.locks, "{calls:?}");
        }
    }
}

async fn calls_on_servers(hold: Duration, share: f64, span: Duration) -> Calls {
    let servers = Servers::start(3);
    let redsync = Redsync::connect(servers.urls()).unwrap();
    // Nothing ends a round early on a busy machine.
    let redsync = redsync.with_defaults(|mutex| {
        let mutex = mutex.with_time_for_pollers(share);
        mutex.with_node_timeout(SOON)
    });
    // A pause of zero ends with the next millisecond.
    let section = move || async move {
        match hold {
            Duration::ZERO => yield_now().await,
            hold => sleep(hold).await,
        }
    };
    let (mut running, sections) = hot_with(&redsync.unwrap(), 16, section);
    until_async("the process is busy", SOON, async || {
        sections.load(Ordering::Relaxed) > 200
    })
    .await;
    let before = sections.load(Ordering::Relaxed);
    let urls = servers.urls();
    let (told, calls) = oneshot::channel();
    thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        let calls = runtime.unwrap().block_on(async {
            let poller = OnServers::connect(&urls).await;
            call(poller, span).await
        });
        told.send(calls)
    });
    let calls = calls.await.expect("an end");
    let sections = sections.load(Ordering::Relaxed) - before;
    println!(
        "on servers, in {span:?}, beside {sections} sections of {hold:?} that leave it {share} of \
         their time: {calls:?}"
    );
    running.shutdown().await;
    calls
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poller_is_served_on_servers() {
    // It was one in two seconds, and every second call failed.
    let is_served = |calls: &Calls| calls.failures == 0 && calls.locks >= 8;
    for (hold, share) in [(ms(2), 0.1), (ms(0), 0.5)] {
        // Whatever else the machine does may keep the client from its turns, but not each time. (What openings
        // are worth is counted above, in virtual time.)
        let mut runs = Vec::new();
        while !runs.last().is_some_and(is_served) {
            assert!(runs.len() < 3, "{runs:?}");
            runs.push(calls_on_servers(hold, share, Duration::from_secs(12)).await);
        }
    }
}

/// Whether a watch of the name has ended, when all that was sent before has been read.
async fn ends(watch: &mut (impl Future<Output = Result<(), redsync::NodeError>> + Unpin)) -> bool {
    timeout(ms(50), watch).await.is_ok()
}

#[tokio::test]
async fn an_acquisition_by_any_client_is_reported() {
    let server = RedisServer::start();
    let node = RedisNode::connect(&server.url()).unwrap();
    let names: Vec<Arc<str>> = vec![NAME.into(), "other".into()];
    let set = |name: &str| drop(server.command(&["SET", name, "value", "PX", "60000"]));
    let delete = || drop(server.command(&["DEL", NAME]));

    // From free.
    let mut watch = Box::pin(node.watch_acquired(&names));
    assert!(!ends(&mut watch).await);
    set("unrelated");
    assert!(!ends(&mut watch).await);
    set(NAME);
    timeout(SOON, watch).await.expect("a report").unwrap();

    // From held: its release is not an acquisition.
    let mut watch = Box::pin(node.watch_acquired(&names));
    assert!(!ends(&mut watch).await);
    delete();
    assert!(!ends(&mut watch).await);
    // However short it is.
    set(NAME);
    delete();
    timeout(SOON, watch).await.expect("a report").unwrap();
    assert_eq!(node.watch(&names).await.unwrap(), WakeUp::Free);
}

#[tokio::test(start_paused = true)]
async fn an_acquisition_in_memory_is_reported() {
    let node = MemoryNode::new();
    let names: Vec<Arc<str>> = vec![NAME.into()];
    let entry = InMemory::entry("value");
    node.acquire(&entry).await.unwrap();
    let mut watch = Box::pin(node.watch_acquired(&names));
    assert!(!ends(&mut watch).await);
    node.release(&entry).await.unwrap();
    assert!(!ends(&mut watch).await);
    node.acquire(&entry).await.unwrap();
    watch.await.unwrap();
}
