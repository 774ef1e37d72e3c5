//! Several processes, each with queues of its own, on virtual time and with random events: nodes that are
//! late, lose messages, go away and lose their data, and waiters that stand still.
//!
//! `SEED=n` replays one run. `SEEDS=n` makes that many.

use std::{
    env,
    future::{Future, poll_fn},
    pin::pin,
    sync::{Arc, Mutex},
    task::Poll,
};

use fastrand::Rng;
use redsync::{FencingToken, Guard, Redsync};
use redsync_tests::faulty::Fault;
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep, timeout},
};

use crate::{
    ms,
    watched::Watched,
    weather::{between, weather},
};

const NAMES: [&str; 2] = ["order:1", "order:2"];
const PROCESSES: usize = 3;
const TASKS: usize = 5;
const EXPIRY: Duration = ms(1000);
const MIN_VALIDITY: Duration = ms(100);
const SPAN: Duration = Duration::from_secs(120);

/// That a task held a name from one instant up to another, with a token.
#[derive(Clone, Debug)]
struct Belief {
    name: String,
    from: Instant,
    to: Instant,
    token: FencingToken,
    process: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Figures {
    grants: usize,
    hand_overs: usize,
    faults: u64,
}

/// Beliefs in one name are disjoint, and their tokens grow.
fn check(mut beliefs: Vec<Belief>, faults: u64) -> Result<Figures, String> {
    let mut figures = Figures {
        grants: beliefs.len(),
        hand_overs: 0,
        faults,
    };
    beliefs.sort_by(|one, other| {
        (&one.name, one.from, one.token).cmp(&(&other.name, other.from, other.token))
    });
    for pair in beliefs
        .windows(2)
        .filter(|pair| pair[0].name == pair[1].name)
    {
        if pair[1].from < pair[0].to {
            return Err(format!("two held it: {pair:?}"));
        }
        if pair[1].token <= pair[0].token {
            return Err(format!("a token has not grown: {pair:?}"));
        }
        let handed = pair[1].token.get() == pair[0].token.get() + 1;
        if handed && pair[0].process != pair[1].process {
            return Err(format!("handed over to another process: {pair:?}"));
        }
        figures.hand_overs += usize::from(handed);
    }
    Ok(figures)
}

/// Stands still now and then, though it was woken.
async fn stalling<T>(mut rng: Rng, future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut stall = pin!(sleep(Duration::ZERO));
    let mut stalls = false;
    poll_fn(|cx| {
        if !stalls && rng.u8(..20) == 0 {
            stall
                .as_mut()
                .reset(Instant::now() + between(&mut rng, 0, 1500));
            stalls = true;
        }
        if stalls && stall.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        stalls = false;
        future.as_mut().poll(cx)
    })
    .await
}

struct Task {
    redsync: Redsync,
    process: usize,
    rng: Rng,
    beliefs: Arc<Mutex<Vec<Belief>>>,
}

impl Task {
    async fn live_until(mut self, end: Instant) -> Result<(), String> {
        while Instant::now() < end {
            if self.rng.u8(..4) == 0 {
                sleep(between(&mut self.rng, 0, 50)).await;
            }
            if let Some(guard) = self.lock().await {
                self.hold(guard).await?;
            }
        }
        Ok(())
    }

    async fn lock(&mut self) -> Option<Guard> {
        let rng = &mut self.rng;
        let mutex = (self.redsync.mutex(NAMES[usize::from(rng.u8(..4) == 0)]))
            .with_fail_fast(rng.u8(..8) > 0)
            .with_set_if_absent_on_extend(rng.u8(..4) == 0);
        let lock = match rng.u8(..8) {
            0 => mutex.try_lock(),
            1 => mutex.with_tries(5).lock(),
            _ => mutex.lock_within(between(rng, 0, 3000)),
        };
        let lock = stalling(rng.fork(), lock);
        if rng.u8(..6) == 0 {
            timeout(between(rng, 0, 100), lock).await.ok()?.ok()
        } else {
            lock.await.ok()
        }
    }

    async fn hold(&mut self, mut guard: Guard) -> Result<(), String> {
        let from = Instant::now();
        if guard.remaining() <= MIN_VALIDITY {
            return Err(format!("only {:?} left", guard.remaining()));
        }
        let token = guard.fencing_token().ok_or("no token")?;
        let rng = &mut self.rng;
        let longest = if rng.u8(..10) == 0 { 1500 } else { 8 };
        if rng.u8(..8) == 0 {
            guard.keep_alive();
        }
        sleep(between(rng, 0, longest)).await;
        if rng.u8(..5) == 0 {
            let _ = timeout(between(rng, 0, 200), guard.extend()).await;
        }
        let to = guard.until().min(Instant::now());
        self.beliefs.lock().expect("no panic").push(Belief {
            name: guard.name().to_owned(),
            from,
            to,
            token,
            process: self.process,
        });
        match self.rng.u8(..8) {
            0 => drop(guard.release()),
            1..5 => drop(guard),
            5 => drop(guard.into_parts()),
            _ => drop(guard.release().await),
        }
        Ok(())
    }
}

async fn simulate(mut rng: Rng, count: usize) -> Result<Figures, String> {
    let start = Instant::now();
    let nodes: Vec<_> = (0..count)
        .map(|number| Watched {
            // Some tell later than others.
            after: ms(number as u64 % 3),
            ..Watched::new()
        })
        .collect();
    let faults = Arc::new(Mutex::new(0));
    let mut weathers = JoinSet::new();
    // A majority never loses its data at a time.
    for watched in &nodes[..count.div_ceil(2) - 1] {
        weathers.spawn(weather(
            watched.clone(),
            rng.fork(),
            Arc::clone(&faults),
            EXPIRY,
        ));
    }
    let beliefs = Arc::new(Mutex::new(Vec::new()));
    let mut tasks = JoinSet::new();
    let mut all = Vec::new();
    for process in 0..PROCESSES {
        let redsync = Redsync::new(nodes.clone())
            .and_then(|redsync| {
                redsync.with_defaults(|mutex| {
                    (mutex.with_expiry(EXPIRY))
                        .with_min_validity(MIN_VALIDITY)
                        .with_node_timeout(ms(120))
                        .with_fencing(true)
                })
            })
            .expect("a configuration that works");
        for _ in 0..TASKS {
            let task = Task {
                redsync: redsync.clone(),
                process,
                rng: rng.fork(),
                beliefs: Arc::clone(&beliefs),
            };
            tasks.spawn(task.live_until(start + SPAN));
        }
        all.push(redsync);
    }
    while let Some(result) = tasks.join_next().await {
        result.map_err(|error| format!("a task panicked: {error}"))??;
    }
    weathers.shutdown().await;
    for watched in &nodes {
        watched.node.always(Fault::none());
    }
    let faults = *faults.lock().expect("no panic");
    let figures = check(beliefs.lock().expect("no panic").clone(), faults)?;
    for redsync in &all {
        for name in NAMES {
            let guard = redsync.mutex(name).lock_within(3 * EXPIRY).await;
            drop(guard.map_err(|error| format!("nobody can lock it any more: {error}"))?);
            if crate::waiting(&redsync.mutex(name), 1).await {
                return Err("somebody is left in the queue".to_owned());
            }
        }
    }
    Ok(figures)
}

fn run(seed: u64, nodes: usize) -> Result<Figures, String> {
    // Pauses are drawn from the thread's own generator.
    fastrand::seed(seed);
    tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime")
        .block_on(simulate(Rng::with_seed(seed), nodes))
}

fn explore(nodes: usize) {
    let number = |name| env::var(name).ok().and_then(|value| value.parse().ok());
    let seeds = match number("SEED") {
        Some(seed) => seed..seed + 1,
        None => 0..number("SEEDS").unwrap_or(3),
    };
    let mut sum = Figures::default();
    let runs = seeds.end - seeds.start;
    for seed in seeds {
        match run(seed, nodes) {
            Ok(figures) => {
                sum.grants += figures.grants;
                sum.hand_overs += figures.hand_overs;
                sum.faults += figures.faults;
            }
            Err(wrong) => panic!("SEED={seed} of {nodes} nodes: {wrong}"),
        }
    }
    println!("{nodes} nodes, {runs} runs of {SPAN:?}: {sum:?}");
    assert!(
        sum.grants > 1000 && sum.hand_overs > 300 && sum.faults > 100,
        "{sum:?}"
    );
}

#[test]
fn holders_on_three_nodes_never_overlap() {
    explore(3);
}

#[test]
fn holders_on_five_nodes_never_overlap() {
    explore(5);
}

#[test]
fn a_wrong_history_is_found() {
    let start = Instant::now();
    let belief = |from, to, token, process| Belief {
        name: "a".to_owned(),
        from: start + ms(from),
        to: start + ms(to),
        token: FencingToken::new(token),
        process,
    };
    let ok = check(
        vec![
            belief(0, 5, 64, 0),
            belief(5, 9, 65, 0),
            belief(10, 11, 128, 1),
        ],
        0,
    );
    assert_eq!(ok.expect("nothing wrong").hand_overs, 1);
    for wrong in [
        [belief(0, 5, 64, 0), belief(4, 9, 65, 0)],
        [belief(0, 5, 64, 0), belief(6, 9, 64, 0)],
        [belief(0, 5, 64, 0), belief(6, 9, 63, 1)],
        [belief(0, 5, 64, 0), belief(6, 9, 65, 1)],
    ] {
        check(wrong.into(), 0).unwrap_err();
    }
}
