//! How often a waiter asks the nodes while another process holds the lock.

use std::{
    future::pending,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use redsync::{
    LockError, NodeError, Redsync,
    node::{
        AcquireVote, Entry, MemoryNode, Node, NodeWrapper, WakeUp,
        redis::{Deadpool, RedisNode},
    },
};
use redsync_tests::{
    Proxy, RedisServer, Servers,
    wait::{until, until_async},
};
use tokio::{
    sync::watch::{Receiver, Sender, channel},
    time::{Instant, sleep},
};

use crate::{LONG, NAME, SOON, WAIT, ms};

/// How wake-ups work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WakeUps {
    Work,
    /// The connection lives, and no message comes.
    AreLost,
    /// There is no connection for them.
    AreDown,
}

/// A node that counts the acquisitions and watches that it is asked for.
#[derive(Clone)]
struct Counting {
    node: MemoryNode,
    acquisitions: Arc<AtomicUsize>,
    watches: Arc<AtomicUsize>,
    wake_ups: Receiver<WakeUps>,
}

impl NodeWrapper for Counting {
    type Inner = MemoryNode;

    fn inner(&self) -> &MemoryNode {
        &self.node
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        self.acquisitions.fetch_add(1, Ordering::SeqCst);
        self.node.acquire(entry).await
    }

    async fn watch(&self, names: &[Arc<str>]) -> Result<WakeUp, NodeError> {
        self.watches.fetch_add(1, Ordering::SeqCst);
        let mut wake_ups = self.wake_ups.clone();
        let are_down = async {
            let _ = wake_ups.wait_for(|it| *it == WakeUps::AreDown).await;
        };
        let seen = async {
            let seen = self.node.watch(names).await;
            let are_lost = *self.wake_ups.borrow() == WakeUps::AreLost;
            if are_lost { pending().await } else { seen }
        };
        tokio::select! {
            biased;
            () = are_down => Err(NodeError::NotSent),
            seen = seen => seen,
        }
    }
}

/// Three nodes, on which another process holds the name, and this process.
struct Nodes {
    nodes: [Counting; 3],
    wake_ups: [Sender<WakeUps>; 3],
    here: Redsync,
    held: redsync::Guard,
}

impl Nodes {
    async fn new() -> Self {
        let channels = [(); 3].map(|()| channel(WakeUps::Work));
        let nodes = channels.each_ref().map(|(_, wake_ups)| Counting {
            node: MemoryNode::new(),
            acquisitions: Arc::default(),
            watches: Arc::default(),
            wake_ups: wake_ups.clone(),
        });
        let there = Redsync::new(nodes.clone().map(|node| node.node)).unwrap();
        let mutex = there.mutex(NAME).with_expiry(LONG);
        Self {
            here: Redsync::new(nodes.clone()).unwrap(),
            held: mutex.lock().await.unwrap(),
            wake_ups: channels.map(|(wake_ups, _)| wake_ups),
            nodes,
        }
    }

    fn set(&self, nodes: usize, wake_ups: WakeUps) {
        for sender in &self.wake_ups[..nodes] {
            sender.send_replace(wake_ups);
        }
    }

    /// How many attempts have been made since the last call.
    fn attempts(&self) -> usize {
        let acquisitions = |node: &Counting| node.acquisitions.swap(0, Ordering::SeqCst);
        self.nodes.each_ref().map(acquisitions)[0]
    }

    /// How many attempts are made in this time.
    async fn attempts_in(&self, secs: u64) -> usize {
        self.attempts();
        sleep(Duration::from_secs(secs)).await;
        self.attempts()
    }
}

#[tokio::test(start_paused = true)]
async fn polls_grow_while_wake_ups_work_on_a_majority_and_are_back_when_they_stop() {
    let nodes = Nodes::new().await;
    let waiting = tokio::spawn(nodes.here.mutex(NAME).lock_within(LONG));
    let first = nodes.attempts_in(60).await;
    assert!((6..=13).contains(&first), "{first}");
    // The watch goes on between polls.
    for node in &nodes.nodes {
        assert_eq!(node.watches.load(Ordering::SeqCst), 1);
    }
    // Two of three can still tell.
    nodes.set(1, WakeUps::AreDown);
    let most = nodes.attempts_in(20).await;
    assert!((1..=5).contains(&most), "{most}");
    nodes.set(2, WakeUps::AreDown);
    let soon = nodes.attempts_in(1).await;
    assert!((3..=20).contains(&soon), "{soon}");
    let usual = nodes.attempts_in(20).await;
    assert!((80..=400).contains(&usual), "{usual}");
    nodes.set(3, WakeUps::Work);
    nodes.attempts_in(1).await;
    let again = nodes.attempts_in(20).await;
    assert!(again <= 8, "{again}");
    drop(nodes.held);
    drop(waiting.await.unwrap().unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_that_gets_lost_is_made_up_for_by_a_poll() {
    let nodes = Nodes::new().await;
    let waiting = tokio::spawn(nodes.here.mutex(NAME).lock_within(LONG));
    sleep(Duration::from_secs(60)).await;
    nodes.set(3, WakeUps::AreLost);
    let start = Instant::now();
    drop(nodes.held);
    drop(waiting.await.unwrap().unwrap());
    let took = start.elapsed();
    assert!(took <= Duration::from_secs(10), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_number_of_tries_lasts_as_long_with_wake_ups_as_without() {
    for wake_ups in [WakeUps::Work, WakeUps::AreDown] {
        let nodes = Nodes::new().await;
        nodes.set(3, wake_ups);
        let mutex = nodes.here.mutex(NAME).with_retry_delay(ms(100));
        let start = Instant::now();
        let refused = mutex.with_tries(31).lock().await;
        assert!(matches!(refused, Err(LockError::Taken(_))), "{refused:?}");
        assert_eq!(start.elapsed().as_millis(), 3_000, "{wake_ups:?}");
        let expected = if wake_ups == WakeUps::Work {
            2..=5
        } else {
            31..=31
        };
        let attempts = nodes.attempts();
        assert!(expected.contains(&attempts), "{attempts}: {wake_ups:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn at_its_deadline_a_waiter_sends_nothing_while_wake_ups_work() {
    for wake_ups in [WakeUps::Work, WakeUps::AreDown] {
        let nodes = Nodes::new().await;
        nodes.set(3, wake_ups);
        let mutex = nodes.here.mutex(NAME).with_retry_delay(ms(400));
        let start = Instant::now();
        let refused = mutex.lock_within(ms(300)).await;
        assert_eq!(start.elapsed(), ms(300));
        // The votes are those of the last attempt.
        let Err(LockError::TimedOut(votes)) = refused else {
            panic!("{refused:?}");
        };
        assert!(votes.iter().count() >= 2, "{votes:?}");
        assert!(votes.free_in().is_some_and(|time| time > LONG / 2));
        let expected = if wake_ups == WakeUps::Work { 1 } else { 2 };
        assert_eq!(nodes.attempts(), expected, "{wake_ups:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn waiters_behind_the_head_send_nothing_up_to_their_deadline() {
    let nodes = Nodes::new().await;
    let mutex = nodes.here.mutex(NAME);
    let head = tokio::spawn(mutex.lock_within(LONG));
    sleep(ms(1)).await;
    let waiters = [(); 100].map(|()| tokio::spawn(mutex.lock_within(Duration::from_secs(40))));
    sleep(Duration::from_secs(1)).await;
    let attempts = nodes.attempts_in(30).await;
    assert!(attempts <= 8, "{attempts}");
    for waiter in waiters {
        assert!(matches!(waiter.await.unwrap(), Err(LockError::TimedOut(_))));
    }
    drop(nodes.held);
    drop(head.await.unwrap().unwrap());
}

/// How often each command was called, except those of the test and of connections.
fn calls(server: &RedisServer) -> Vec<(String, u64)> {
    let stats: String = server.query(&["INFO", "commandstats"]);
    let call = |line: &str| {
        let (command, rest) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
        let calls = rest.split(',').next()?.parse().expect("a number");
        let counts = ["set", "eval", "evalsha", "exists", "del", "get", "pttl"];
        counts
            .contains(&command)
            .then(|| (command.to_owned(), calls))
    };
    let mut calls: Vec<_> = stats.lines().filter_map(call).collect();
    calls.sort();
    calls
}

/// How often a command was called.
fn calls_of(server: &RedisServer, command: &str) -> u64 {
    let calls = calls(server).into_iter();
    calls
        .filter(|(name, _)| name == command)
        .map(|(_, calls)| calls)
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn polls_are_back_when_a_majority_of_servers_can_no_longer_notify() {
    let lost: [fn(&Proxy); 2] = [Proxy::refuse, |proxy| {
        proxy.blackhole();
        proxy.reset();
    }];
    for lose in lost {
        let servers = Servers::start(3);
        let (mut nodes, mut proxies) = (Vec::new(), Vec::new());
        for server in &servers {
            let proxy = Proxy::start(server.port()).await;
            let node = RedisNode::new(Deadpool::connect(&server.url()).unwrap());
            nodes.push(node.with_wake_ups(&proxy.url()).unwrap());
            proxies.push(proxy);
            server.command(&["SET", NAME, "theirs", "PX", "300000"]);
        }
        let redsync = Redsync::new(nodes).unwrap();
        let mutex = redsync.mutex(NAME).with_retry_delay(ms(100));
        let waiting = tokio::spawn(mutex.lock_within(WAIT));
        for server in &servers {
            until("it watches", SOON, || calls_of(server, "exists") > 0);
        }
        // Wake-ups from two of three still work.
        lose(&proxies[0]);
        let before = calls_of(&servers[0], "set");
        sleep(Duration::from_secs(4)).await;
        let polls = calls_of(&servers[0], "set") - before;
        assert!(polls < 20, "{polls} in 4 s");
        lose(&proxies[1]);
        // As many rare polls would take several minutes.
        let before = calls_of(&servers[0], "set");
        until("it polls", SOON, || {
            calls_of(&servers[0], "set") >= before + 40
        });
        waiting.abort();
        assert!(waiting.await.is_err());
        redsync.drain().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn servers_that_answer_a_watch_later_than_the_next_poll_notify_nevertheless() {
    let servers = Servers::start(3);
    let (mut nodes, mut proxies) = (Vec::new(), Vec::new());
    for server in &servers {
        let proxy = Proxy::start(server.port()).await;
        proxy.delay(ms(150));
        let node = RedisNode::new(Deadpool::connect(&server.url()).unwrap());
        nodes.push(node.with_wake_ups(&proxy.url()).unwrap());
        proxies.push(proxy);
        server.command(&["SET", NAME, "theirs", "PX", "300000"]);
    }
    let redsync = Redsync::new(nodes).unwrap();
    let mutex = redsync.mutex(NAME).with_retry_delay(ms(50));
    let waiting = tokio::spawn(mutex.lock_within(WAIT));
    let polls = async || {
        let before = calls_of(&servers[0], "set");
        sleep(Duration::from_secs(3)).await;
        calls_of(&servers[0], "set") - before
    };
    // Without wake-ups, there would be sixty.
    until_async("it polls rarely", SOON, async || polls().await <= 3).await;
    waiting.abort();
    assert!(waiting.await.is_err());
    redsync.drain().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failed_attempt_costs_two_commands_a_node_and_a_watch_one() {
    let servers = Servers::start(3);
    let redsync = Redsync::connect(servers.urls()).unwrap();
    servers.iter().for_each(|server| {
        server.command(&["SET", NAME, "theirs", "PX", "300000"]);
    });
    let patient = |name: &str| {
        let mutex = redsync.mutex(name).with_node_timeout(SOON);
        mutex.with_fail_fast(false)
    };
    // So that all scripts are loaded, and all connections made.
    patient("other")
        .lock()
        .await
        .unwrap()
        .release()
        .await
        .unwrap();
    let mutex = patient(NAME).with_retry_delay(ms(100));
    mutex.lock_within(ms(500)).await.unwrap_err();
    redsync.drain().await;
    for server in &servers {
        server.command(&["CONFIG", "RESETSTAT"]);
    }
    let counted = |calls: &[(&str, u64)]| -> Vec<(String, u64)> {
        let counted = calls.iter();
        counted
            .map(|(command, calls)| ((*command).to_owned(), *calls))
            .collect()
    };
    mutex.try_lock().await.unwrap_err();
    redsync.drain().await;
    // The script reads the key and its expiry.
    let attempt = counted(&[("evalsha", 1), ("get", 1), ("pttl", 1), ("set", 1)]);
    for server in &servers {
        assert_eq!(calls(server), attempt);
    }

    let waiting = tokio::spawn(mutex.lock_within(WAIT));
    for server in &servers {
        until("it watches", SOON, || {
            calls(server).iter().any(|(command, _)| command == "exists")
        });
    }
    // Longer than several of its pauses.
    sleep(ms(700)).await;
    let both = counted(&[
        ("evalsha", 2),
        ("exists", 1),
        ("get", 2),
        ("pttl", 2),
        ("set", 2),
    ]);
    for server in &servers {
        assert_eq!(calls(server), both);
    }
    // A change that is no release costs another attempt, and another watch.
    servers[0].command(&["PEXPIRE", NAME, "200000"]);
    for server in &servers {
        until("it watches again", SOON, || calls_of(server, "exists") == 2);
    }
    // It sends nothing when it leaves, because nothing is reserved for it.
    waiting.abort();
    assert!(waiting.await.is_err());
    redsync.drain().await;
    let again = counted(&[
        ("evalsha", 3),
        ("exists", 2),
        ("get", 3),
        ("pttl", 3),
        ("set", 3),
    ]);
    for server in &servers {
        assert_eq!(calls(server), again);
    }
}
