//! Writers of several processes that readers keep out. Each of their attempts reserves the name, which
//! changes its key, and a change wakes all who watch.

use std::{
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::future::poll_immediate;
use redsync::{
    Mode, NodeError, Redsync,
    node::{AcquireVote, Entry, MemoryNode, Node, NodeWrapper, WakeUp, redis::RedisNode},
};
use redsync_tests::RedisServer;
use tokio::{
    select,
    sync::Notify,
    time::{Instant, sleep, timeout},
};

use crate::{LONG, NAME, SOON, WAIT, drowsy, ms};

const WRITERS: usize = 8;

/// How long attempts are counted.
const SPAN: Duration = Duration::from_secs(10);

/// A server far away. As one with client tracking does, it also reports that a reservation has
/// changed.
#[derive(Clone)]
struct Far {
    store: MemoryNode,
    reservation: Arc<Notify>,
    /// The longest time that a message takes.
    latest: Duration,
    attempts: Arc<AtomicUsize>,
}

impl Far {
    async fn travel(&self) {
        sleep(self.latest.mul_f64(fastrand::f64())).await;
    }

    /// Up to when new readers are kept out.
    async fn reserved_until(&self) -> Option<Instant> {
        // If it is admitted, it has expired at once. A holder would be admitted again by the next
        // call, whether or not the name is reserved by then.
        let probe = Entry::new(NAME, "probe".into(), Duration::ZERO);
        match self.store.acquire(&probe.with_mode(Mode::Shared)).await {
            Ok(AcquireVote::Taken { remaining }) => Some(Instant::now() + remaining?),
            _ => None,
        }
    }
}

impl NodeWrapper for Far {
    type Inner = MemoryNode;

    fn inner(&self) -> &MemoryNode {
        &self.store
    }

    async fn acquire(&self, entry: &Entry) -> Result<AcquireVote, NodeError> {
        self.attempts.fetch_add(1, Ordering::Relaxed);
        // The third command reserves the name, after two that were answered.
        for _ in 0..5 {
            self.travel().await;
        }
        let before = self.reserved_until().await;
        let vote = self.store.acquire(entry).await?;
        let is_reserved = matches!(vote, AcquireVote::Reserved { .. });
        if is_reserved && self.reserved_until().await != before {
            self.reservation.notify_waiters();
        }
        self.travel().await;
        Ok(vote)
    }

    async fn watch(&self, names: &[Arc<str>]) -> Result<WakeUp, NodeError> {
        self.travel().await;
        let seen = select! {
            seen = self.store.watch(names) => seen?,
            () = self.reservation.notified() => WakeUp::Changed,
        };
        self.travel().await;
        Ok(seen)
    }
}

/// The writers wait in as many processes while a reader has the name. Returns how many attempts they
/// make in the span, after five seconds.
async fn attempts(seed: u64, latest: Duration, process: impl Fn(Redsync) -> Redsync) -> usize {
    fastrand::seed(seed);
    let attempts = Arc::new(AtomicUsize::new(0));
    let nodes: [_; 3] = std::array::from_fn(|_| Far {
        store: MemoryNode::new(),
        reservation: Arc::default(),
        latest,
        attempts: Arc::clone(&attempts),
    });
    let reader = Redsync::new(nodes.clone().map(|node| node.store)).unwrap();
    let reader = reader.mutex(NAME).with_expiry(LONG).shared();
    let reader = reader.lock().await.unwrap();
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        let process = process(Redsync::new(nodes.clone()).unwrap());
        let mutex = process.mutex(NAME).with_node_timeout(SOON);
        let mutex = mutex.with_expiry(LONG);
        writers.push(tokio::spawn(async move {
            mutex.lock_within(WAIT).await.map(drop)
        }));
        sleep(latest.mul_f64(fastrand::f64())).await;
    }
    sleep(Duration::from_secs(5)).await;
    attempts.store(0, Ordering::Relaxed);
    sleep(SPAN).await;
    let made = attempts.load(Ordering::Relaxed) / nodes.len();
    drop(reader);
    for writer in writers {
        let served = timeout(SOON, writer).await.expect("it is woken");
        served.unwrap().unwrap();
    }
    made
}

/// An attempt takes up to 120 ms, which is half of the time between two changes of a reservation.
#[tokio::test(start_paused = true)]
async fn writers_that_readers_keep_out_come_to_rest() {
    for seed in 0..3 {
        assert_eq!(attempts(seed, ms(20), drowsy).await, 0, "seed {seed}");
    }
}

/// Writers renew their reservation at their polls.
#[tokio::test(start_paused = true)]
async fn writers_that_readers_keep_out_make_no_more_attempts_than_polls() {
    let attempts = attempts(0, ms(1), |process| process).await;
    println!("{WRITERS} writers made {attempts} attempts in {SPAN:?}");
    // The shortest default pause is 50 ms.
    let polls = SPAN.div_duration_f64(ms(50)) as usize * WRITERS;
    assert!((1..polls).contains(&attempts), "{attempts}");
}

#[tokio::test]
async fn a_server_reports_one_change_for_writers_that_come_together() {
    let server = RedisServer::start();
    let node = RedisNode::connect(&server.url()).unwrap();
    let entry = |value: &str| Entry::new(NAME, value.into(), LONG);
    let (names, others) = ([NAME.into()], ["another".into()]);
    let reader = entry("reader").with_mode(Mode::Shared);
    let vote = node.acquire(&reader).await.unwrap();
    assert_eq!(vote, AcquireVote::Acquired { number: None });
    // Up to when the reports of all changes before this have arrived, over the same connection.
    let all_reported = async || {
        let other = node.watch(&others).await.unwrap();
        assert_eq!(other, WakeUp::Free);
    };
    // Polls a watch until it waits for a change. At the first poll, the connection may have to be
    // checked; the next one asks the server, and the last one reads its answer.
    let begin = async |mut watch: Pin<&mut dyn Future<Output = Result<WakeUp, NodeError>>>| {
        for _ in 0..3 {
            let seen = poll_immediate(&mut watch).await;
            assert!(seen.is_none(), "{seen:?}");
            all_reported().await;
        }
    };
    let deadline = Instant::now() + SOON;
    loop {
        let start = Instant::now();
        assert!(
            start < deadline,
            "no pass was shorter than 200 ms in {SOON:?}"
        );
        let first = node.acquire(&entry("first").with_repetition(true)).await;
        assert!(matches!(first, Ok(AcquireVote::Reserved { .. })));
        // The watch would take a report of this change for one that is older than its answer.
        all_reported().await;
        let mut watch = pin!(node.watch(&names));
        begin(watch.as_mut()).await;
        for value in ["second", "third"] {
            let vote = node.acquire(&entry(value).with_repetition(true)).await;
            assert!(matches!(vote, Ok(AcquireVote::Reserved { .. })));
            let once = node.acquire(&entry(value)).await;
            assert!(matches!(once, Ok(AcquireVote::Taken { .. })));
        }
        all_reported().await;
        let seen = poll_immediate(&mut watch).await;
        if start.elapsed() < ms(200) {
            assert!(seen.is_none(), "{seen:?}");
            let release = entry("first").with_repetition(true);
            node.release(&release).await.unwrap();
            all_reported().await;
            let seen = poll_immediate(&mut watch).await;
            assert_eq!(seen.unwrap().unwrap(), WakeUp::Changed);
            break;
        }
        // On a busy machine, the reservation may have been due. It ends.
        sleep(ms(800)).await;
    }
    // Nothing is reserved any more, and nothing changes.
    let mut watch = pin!(node.watch(&names));
    begin(watch.as_mut()).await;
    let once = node.acquire(&entry("once")).await;
    assert!(matches!(once, Ok(AcquireVote::Taken { .. })));
    all_reported().await;
    let seen = poll_immediate(&mut watch).await;
    assert!(seen.is_none(), "{seen:?}");
}
