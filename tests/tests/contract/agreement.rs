//! Random operations, on which the memory node and a real server must agree.

use std::fmt;
use std::time::{Duration, Instant};

use fastrand::Rng;
use redsync::{FencingToken, NodeError};
use redsync::{
    Mode,
    node::{
        AcquireVote, Entry, ExtendVote, Holders, MemoryNode, Node, RaiseVote, ReleaseVote,
        redis::RedisNode,
    },
};
use redsync_tests::RedisServer;

/// How many sequences there are, and how many operations each has.
const SEQUENCES: u64 = 200;
const OPERATIONS: usize = 60;

/// In these sequences, time ends only the half second for which shared holders are kept out. A sequence
/// that takes nearly as long is cut off.
const CUT_OFF: Duration = Duration::from_millis(400);

/// By how much remaining times may differ. Expiries differ by more.
const TOLERANCE: Duration = Duration::from_secs(20);

/// Above the wall clock, so that counters depend only on the operations.
const COUNTERS: u64 = 4_000_000_000_000_000_000;

/// One operation.
#[derive(Clone, Debug)]
enum Operation {
    Acquire(Entry),
    Raise(Entry, FencingToken),
    Extend(Entry, Option<FencingToken>, bool),
    Release(Entry),
    ReleaseAfter(Entry, Duration),
    Inspect(String),
}

/// The answer of a node.
#[derive(Debug)]
enum Answer {
    Acquire(AcquireVote),
    Raise(RaiseVote),
    Extend(ExtendVote),
    Release(ReleaseVote),
    Inspect(Option<Holders>),
}

/// Replays one sequence if the environment variable `REDSYNC_SEED` has its seed.
#[tokio::test]
async fn memory_and_redis_agree() {
    let server = RedisServer::start();
    let redis = RedisNode::connect(&server.url()).expect("a URL");
    let one = std::env::var("REDSYNC_SEED").ok();
    let one = one.map(|seed| seed.parse::<u64>().expect("a number in REDSYNC_SEED"));
    let first = one.unwrap_or_else(|| fastrand::u64(..u64::MAX / 2));
    let mut compared = 0;
    for seed in first..first + one.map_or(SEQUENCES, |_| 1) {
        compared += sequence(seed, &MemoryNode::new(), &redis).await;
    }
    println!("{compared} operations agree, from seed {first}");
    assert!(compared > 0, "every sequence took too long");
}

async fn sequence<M: Node, R: Node>(seed: u64, memory: &M, redis: &R) -> usize {
    let mut rng = Rng::with_seed(seed);
    // Other names than those of other sequences, whose keys still exist.
    let names = ["a", "b", "c"].map(|name| format!("{name}:{seed}"));
    for name in &names {
        let entry = Entry::new(name, "start".into(), Duration::from_secs(60)).with_fencing(true);
        for operation in [
            Operation::Acquire(entry.clone()),
            Operation::Raise(entry.clone(), FencingToken::new(COUNTERS)),
            Operation::Release(entry),
        ] {
            operation.ask(memory).await.expect("memory");
            operation.ask(redis).await.expect("redis");
        }
    }

    let start = Instant::now();
    let mut log = Vec::new();
    for _ in 0..OPERATIONS {
        let operation = Operation::random(&mut rng, &names);
        let expected = operation.ask(memory).await;
        let found = operation.ask(redis).await;
        if start.elapsed() > CUT_OFF {
            break;
        }
        let expected = expected.unwrap_or_else(|error| panic!("memory: {error}"));
        log.push(Step {
            operation,
            expected,
        });
        let agree = found
            .as_ref()
            .is_ok_and(|found| agree(&log[log.len() - 1].expected, found));
        assert!(
            agree,
            "REDSYNC_SEED={seed}: the nodes disagree on the last of these, to which Redis answers \
             {found:?}:\n{}",
            log.iter().map(Step::to_string).collect::<String>()
        );
    }
    log.len()
}

struct Step {
    operation: Operation,
    expected: Answer,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = match &self.operation {
            Operation::Acquire(entry)
            | Operation::Raise(entry, _)
            | Operation::Extend(entry, ..)
            | Operation::Release(entry)
            | Operation::ReleaseAfter(entry, _) => entry.value.as_str(),
            Operation::Inspect(_) => "",
        };
        writeln!(f, "  {:?} {value}\n    {:?}", self.operation, self.expected)
    }
}

impl Operation {
    fn random(rng: &mut Rng, names: &[String; 3]) -> Self {
        let entry = entry(rng, names);
        // About as large as the counters are.
        let token = FencingToken::new(COUNTERS + rng.u64(..2_000));
        match rng.u8(..12) {
            0..5 => Self::Acquire(entry),
            5 => Self::Raise(entry.with_mode(Mode::Exclusive), token),
            6..8 => {
                let token = (rng.bool() && entry.mode == Mode::Exclusive).then_some(token);
                Self::Extend(entry, token, rng.bool())
            }
            8..10 => Self::Release(entry),
            10 => Self::ReleaseAfter(entry, Duration::from_secs([30, 90, 180][rng.usize(..3)])),
            _ => Self::Inspect(names[rng.usize(..names.len())].clone()),
        }
    }

    async fn ask<N: Node>(&self, node: &N) -> Result<Answer, NodeError> {
        Ok(match self {
            Self::Acquire(entry) => Answer::Acquire(node.acquire(entry).await?),
            Self::Raise(entry, token) => Answer::Raise(node.raise(entry, *token).await?),
            Self::Extend(entry, token, set_if_absent) => {
                Answer::Extend(node.extend(entry, *token, *set_if_absent).await?)
            }
            Self::Release(entry) => Answer::Release(node.release(entry).await?),
            Self::ReleaseAfter(entry, time) => {
                Answer::Release(node.release_after(entry, *time).await?)
            }
            Self::Inspect(name) => Answer::Inspect(node.inspect(name).await?),
        })
    }
}

fn entry(rng: &mut Rng, names: &[String; 3]) -> Entry {
    let value = ["one", "two", "three"][rng.usize(..3)];
    let expiry = [60, 120, 240][rng.usize(..3)];
    let some: Vec<&str> = match rng.u8(..10) {
        // Mostly one name, and mostly the same one, so that the entries meet.
        0..4 => vec![&names[0]],
        4..6 => vec![&names[rng.usize(..names.len())]],
        6..8 => vec![&names[0], &names[1]],
        8 => vec![&names[1], &names[2]],
        _ => names.iter().map(String::as_str).collect(),
    };
    let entry = Entry::new(&names[0], value.into(), Duration::from_secs(expiry)).with_names(some);
    match rng.u8(..6) {
        0..2 => entry.with_mode(Mode::Shared),
        2 => entry.with_fencing(true),
        3..5 => entry.with_repetition(true),
        _ => entry,
    }
}

fn agree(memory: &Answer, redis: &Answer) -> bool {
    match (memory, redis) {
        (
            Answer::Acquire(AcquireVote::Taken { remaining }),
            Answer::Acquire(AcquireVote::Taken { remaining: other }),
        )
        | (
            Answer::Acquire(AcquireVote::Reserved { remaining }),
            Answer::Acquire(AcquireVote::Reserved { remaining: other }),
        ) => close(*remaining, *other),
        (Answer::Acquire(memory), Answer::Acquire(redis)) => memory == redis,
        (Answer::Raise(memory), Answer::Raise(redis)) => memory == redis,
        (Answer::Extend(memory), Answer::Extend(redis)) => memory == redis,
        (Answer::Release(memory), Answer::Release(redis)) => memory == redis,
        (Answer::Inspect(Some(memory)), Answer::Inspect(Some(redis))) => {
            memory.mode == redis.mode
                && memory.holders.len() == redis.holders.len()
                && memory.holders.iter().all(|held| {
                    let other = redis.holders.iter().find(|other| other.value == held.value);
                    other.is_some_and(|other| close(held.remaining, other.remaining))
                })
        }
        (Answer::Inspect(None), Answer::Inspect(None)) => true,
        _ => false,
    }
}

fn close(one: Option<Duration>, other: Option<Duration>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => one.abs_diff(other) < TOLERANCE,
        _ => false,
    }
}
