//! Clients that lock, wait, extend, verify and hand over, while administrators take the locks from them, on
//! nodes that answer late: in the middle of an acquisition, of an extension, twice at once.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
    sync::{Arc, Mutex, MutexGuard},
};

use fastrand::Rng;
use redsync::{FencingToken, Fingerprint, Mode, Redsync, Released};
use redsync_tests::faulty::Fault;
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use crate::{WAIT, Watched, assert_before_a_poll, drowsy, ms};

const RUNS: u64 = 60;

/// What a client believed of a lock.
struct Belief {
    keys: Vec<String>,
    shared: bool,
    asked: Instant,
    held: Range<Instant>,
    token: Option<FencingToken>,
    /// Known if the owner value was exposed, so that the lock was not handed over to others.
    fingerprint: Option<Fingerprint>,
}

/// What an administrator has taken.
struct Taken {
    during: Range<Instant>,
    /// With how many nodes released each holder.
    holders: HashMap<Fingerprint, usize>,
}

#[derive(Default)]
struct History {
    beliefs: Vec<Belief>,
    taken: Vec<Taken>,
}

/// The part of a run.
#[derive(Clone)]
struct Part {
    redsync: Redsync,
    run: u64,
    random: Rng,
    history: Arc<Mutex<History>>,
}

impl Part {
    /// One of the locks of this run.
    fn mutex(&mut self) -> redsync::Mutex {
        let one = self.redsync.mutex("a");
        let both = self.redsync.mutex_many(["a", "b"]);
        match (self.run % 4, self.random.bool()) {
            (0, _) => one.with_fencing(true),
            (1, true) => both,
            (2, true) => one.shared().with_retry_delay(ms(20)),
            (2, false) => one.with_retry_delay(ms(20)),
            (3, _) => self.redsync.semaphore("a", 2),
            (_, _) => one,
        }
    }

    async fn lock(mut self) {
        for _ in 0..5 {
            sleep(ms(self.random.u64(..60))).await;
            let mutex = self.mutex();
            let asked = Instant::now();
            let mut guard = mutex.lock_within(WAIT).await.expect("nobody keeps it");
            let since = Instant::now();
            let exposes = self.random.bool();
            let fingerprint = exposes.then(|| guard.expose_value().fingerprint());
            if self.random.bool() {
                guard.keep_alive();
            }
            sleep(ms(self.random.u64(..40))).await;
            let was_taken = fingerprint.is_some_and(|it| self.was_taken(it));
            let held = match self.random.u8(..3) {
                0 => Some(guard.extend().await.is_ok()),
                1 => Some(guard.verify().await.expect("all nodes answer")),
                _ => None,
            };
            assert!(!(was_taken && held == Some(true)), "it is noticed");
            assert!(held != Some(false) || guard.is_lost());
            self.history().beliefs.push(Belief {
                keys: guard.name().split(", ").map(str::to_owned).collect(),
                shared: mutex.mode() == Mode::Shared,
                asked,
                held: since..guard.until().min(Instant::now()),
                token: guard.fencing_token(),
                fingerprint,
            });
            if self.random.bool() {
                drop(guard);
            } else {
                let released = guard.release().await.expect("all nodes answer");
                assert!(held != Some(false) || released == Released::AlreadyLost);
            }
        }
    }

    async fn take(mut self) {
        for _ in 0..4 {
            sleep(ms(self.random.u64(..100))).await;
            let mutex = match self.run % 4 {
                3 => self.redsync.semaphore("a", 2),
                _ => self.redsync.mutex_many(["a", "b"]),
            };
            let since = Instant::now();
            let nodes = mutex.force_release().await.expect("good names");
            let mut holders = HashMap::new();
            for node in nodes {
                for holder in node.holders.expect("all nodes answer") {
                    *holders.entry(holder.fingerprint).or_default() += 1;
                }
            }
            let during = since..Instant::now();
            (self.history().taken).push(Taken { during, holders });
        }
    }

    fn history(&self) -> MutexGuard<'_, History> {
        self.history.lock().unwrap()
    }

    /// Whether all of its nodes have released the lock by force.
    fn was_taken(&self, fingerprint: Fingerprint) -> bool {
        let history = self.history();
        let mut taken = history.taken.iter();
        taken.any(|it| it.holders.get(&fingerprint) >= Some(&3))
    }
}

impl History {
    /// Whether a belief may have been wrong, because its lock was taken by force.
    fn may_be_wrong(&self, belief: &Belief) -> bool {
        // A lock that was handed over to this holder may have been taken before, but not before its first
        // acquisition.
        let since = belief.held.start - ms(200);
        self.taken.iter().any(|taken| match &belief.fingerprint {
            Some(fingerprint) => taken.holders.contains_key(fingerprint),
            None => {
                !taken.holders.is_empty()
                    && taken.during.start < belief.held.end
                    && taken.during.end > since
            }
        })
    }

    /// Checks that of two holders at the same time, the lock of one was taken, and that tokens grow and are
    /// unique. Returns how many beliefs may have been wrong.
    fn check(&self) -> usize {
        let mut tokens = HashSet::new();
        let all = self.beliefs.iter().filter_map(|belief| belief.token);
        for token in all {
            assert!(tokens.insert(token.get()), "two have the token {token}");
        }
        let wrong = |belief: &&Belief| self.may_be_wrong(belief);
        for (at, one) in self.beliefs.iter().enumerate() {
            for other in &self.beliefs[at + 1..] {
                let collide = one.keys.iter().any(|key| other.keys.contains(key));
                if !collide || one.shared && other.shared {
                    continue;
                }
                let overlap = one.held.start < other.held.end && other.held.start < one.held.end;
                assert!(!overlap || wrong(&one) || wrong(&other), "two holders");
                for (earlier, later) in [(one, other), (other, one)] {
                    // What was taken may be handed over all the same, with a token that is too small by then.
                    let follows = later.asked > earlier.held.start && !wrong(&later);
                    let grows = earlier.token.is_none() || later.token > earlier.token;
                    assert!(!follows || grows, "tokens grow");
                }
            }
        }
        self.beliefs.iter().filter(wrong).count()
    }
}

async fn run(run: u64) -> (usize, usize) {
    fastrand::seed(run);
    let mut random = Rng::with_seed(run);
    let nodes: [_; 3] = std::array::from_fn(|_| Watched::new());
    for node in &nodes {
        let mut random = random.fork();
        node.node.plan(move |_| {
            let late = |random: &mut Rng| ms(random.u64(..8) * random.u64(..2));
            Fault::late_request(late(&mut random)).and_late_reply(late(&mut random))
        });
    }
    let history = Arc::<Mutex<History>>::default();
    let processes: [_; 3] = std::array::from_fn(|_| drowsy(Redsync::new(nodes.clone()).unwrap()));
    let start = Instant::now();
    let mut parts = JoinSet::new();
    for redsync in &processes {
        let mut part = || Part {
            redsync: redsync.clone(),
            run,
            random: random.fork(),
            history: Arc::clone(&history),
        };
        for _ in 0..3 {
            parts.spawn(part().lock());
        }
        // Two of them often come at the same time.
        parts.spawn(part().take());
    }
    while let Some(ended) = parts.join_next().await {
        ended.unwrap();
    }
    assert_before_a_poll(start);
    for redsync in &processes {
        redsync.drain().await;
    }
    // A reservation for an exclusive waiter may be left, for 750 ms at most.
    sleep(ms(1000)).await;
    assert!(nodes.iter().all(|node| node.node.inner().is_empty()));
    let history = history.lock().unwrap();
    (history.beliefs.len(), history.check())
}

#[tokio::test(start_paused = true)]
async fn whatever_is_taken_when_no_two_hold_what_was_not_taken_and_nobody_sleeps() {
    let (mut locks, mut wrong) = (0, 0);
    for seed in 0..RUNS {
        println!("run {seed}");
        let (held, may_be_wrong) = run(seed).await;
        (locks, wrong) = (locks + held, wrong + may_be_wrong);
    }
    println!("{locks} locks, of which {wrong} may have been taken while they were held");
    assert!(wrong > locks / 20 && wrong < locks / 2);
}
