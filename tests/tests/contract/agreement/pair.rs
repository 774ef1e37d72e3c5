//! The memory node and the server, to which the same things happen.

use std::time::{Duration, Instant};

use redis::Value;
use redsync::{
    FencingToken,
    node::{Entry, Holders, MemoryNode, Node, ReleaseVote, redis::RedisNode},
};
use redsync_tests::{RedisServer, UNLOCK_OF_GO};
use tokio::runtime::{Builder, Runtime};

use super::{
    counting::Counting,
    expected::Expected,
    machine::{Strange, Transition},
    operation::{COUNTERS, EXPIRY, NAMES, Operation, are_same},
    server_state::{self, counter},
};

/// The owner value of the client of go-redsync.
const GO: &str = "go";

/// A node that takes longer may leave its answer incomplete: it does not wait for it any longer.
const STALLED: Duration = Duration::from_millis(80);

pub(super) struct Pair<'a> {
    server: &'a RedisServer,
    /// Runs the connections, on the real clock.
    runtime: &'a Runtime,
    redis: RedisNode<Counting>,
    /// Its clock is that of the memory node.
    paused: Runtime,
    memory: MemoryNode,
    pace: Pace,
}

/// Whether the sequence is fast enough to prove anything.
struct Pace {
    start: Instant,
    has_stalled: bool,
}

type Compared = Result<(), String>;

impl<'a> Pair<'a> {
    pub(super) fn new(server: &'a RedisServer, runtime: &'a Runtime, driver: Counting) -> Self {
        server_state::reset(server);
        let paused = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        let pair = Self {
            server,
            runtime,
            // It knows nothing about the server yet.
            redis: RedisNode::new(driver),
            paused: paused.expect("a runtime"),
            memory: MemoryNode::new(),
            pace: Pace {
                start: Instant::now(),
                has_stalled: false,
            },
        };
        for name in NAMES {
            let entry = Entry::new(name, "start".into(), EXPIRY).with_fencing(true);
            let start = FencingToken::new(COUNTERS);
            pair.remember(&Operation::Acquire(entry.clone()));
            pair.remember(&Operation::Raise(entry.clone(), start));
            pair.remember(&Operation::Release(entry));
        }
        pair
    }

    pub(super) fn is_slower_than(&self, limit: Duration) -> bool {
        self.pace.has_stalled || self.pace.start.elapsed() > limit
    }

    /// Does the same on both, and compares the answers.
    pub(super) fn step(&mut self, strange: &Strange, transition: &Transition) -> Compared {
        match transition {
            Transition::Ask(operation) => return self.ask(strange, operation),
            Transition::LockOfGo(name, expiry) => return self.lock_of_go(strange, name, *expiry),
            Transition::UnlockOfGo(name) => return self.unlock_of_go(name),
            Transition::Delete(name) => self.delete(name),
            Transition::SetName(name, kind) => {
                self.delete(name);
                self.server.command(&kind.command(name));
            }
            Transition::SetCounter(name, kind) => {
                let key = counter(name);
                if strange.counters.contains_key(name) {
                    self.server.command(&["DEL", &key]);
                } else {
                    // There is none if it has expired.
                    let _ = self.server.try_command(&["RENAME", &key, &put_aside(name)]);
                }
                self.server.command(&kind.command(&key));
            }
            Transition::RestoreCounter(name) if strange.counters.contains_key(name) => {
                let key = counter(name);
                self.server.command(&["DEL", &key]);
                let _ = self.server.try_command(&["RENAME", &put_aside(name), &key]);
            }
            Transition::RestoreCounter(_) => {}
            Transition::Pass(time) => {
                self.paused.block_on(tokio::time::advance(*time));
                server_state::pass(self.server, *time);
            }
            Transition::FlushScripts => {
                self.server.command(&["SCRIPT", "FLUSH"]);
            }
        }
        Ok(())
    }

    fn ask(&mut self, strange: &Strange, operation: &Operation) -> Compared {
        let expected = Expected::of(operation, &self.memory, strange);
        let expected = self.paused.block_on(expected);
        let start = Instant::now();
        let found = self.runtime.block_on(operation.ask(&self.redis));
        self.pace.has_stalled |= start.elapsed() > STALLED;
        if expected.is_met_by(&found) {
            Ok(())
        } else {
            Err(format!(
                "{operation:?}: expected {expected:?}, found {found:?}"
            ))
        }
    }

    fn lock_of_go(&self, strange: &Strange, name: &str, expiry: Duration) -> Compared {
        let millis = expiry.as_millis().to_string();
        let set = ["SET", name, GO, "NX", "PX", &millis];
        let is_set = self.server.command(&set) != Value::Nil;
        let is_free = !strange.names.contains_key(name) && self.holders_in_memory(name).is_none();
        if is_set && is_free {
            self.remember(&Operation::Acquire(Entry::new(name, GO.into(), expiry)));
            return Ok(());
        }
        // A client of go-redsync finds a name taken that is reserved for another.
        let kind: String = self.server.query(&["TYPE", name]);
        let is_reserved = !is_set && kind == "zset";
        if is_set == is_free || is_reserved {
            Ok(())
        } else {
            Err(format!(
                "{set:?}: set {is_set}, and free in memory {is_free}"
            ))
        }
    }

    fn unlock_of_go(&self, name: &str) -> Compared {
        let unlock = ["EVAL", UNLOCK_OF_GO, "1", name, GO];
        // It fails at a key of another type.
        let found = self.server.try_command(&unlock);
        let is_released = found.is_ok_and(|reply| reply == Value::Int(1));
        let entry = Entry::new(name, GO.into(), EXPIRY);
        let vote = self.paused.block_on(self.memory.release(&entry));
        if is_released == (vote.expect("memory does not fail") == ReleaseVote::Released) {
            Ok(())
        } else {
            Err(format!("go-redsync's unlock of {name}: {is_released}"))
        }
    }

    fn delete(&self, name: &'static str) {
        self.server.command(&["DEL", name]);
        self.remember(&Operation::ForceRelease(name));
        // Ends a reservation, too.
        let entry = Entry::new(name, "nobody".into(), EXPIRY).with_repetition(true);
        self.remember(&Operation::Release(entry));
    }

    /// Compares the keys of all names.
    pub(super) fn compare_keys(&self, strange: &Strange) -> Compared {
        let (names, counters) = server_state::read(self.server);
        for (name, found) in NAMES.into_iter().zip(names) {
            let expected = self.holders_in_memory(name);
            let is_same = match strange.names.get(name) {
                Some(kind) => expected.is_none() && found.is(*kind),
                None => are_same(expected.as_ref(), found.holders()?.as_ref()),
            };
            if !is_same {
                return Err(format!(
                    "{name}: in memory {expected:?}, on the server {found:?}"
                ));
            }
        }
        for (name, found) in NAMES.into_iter().zip(counters) {
            let is_right = match strange.counters.get(name) {
                Some(kind) => found.is(*kind),
                None => found.may_be_a_counter(),
            };
            if !is_right {
                return Err(format!("the counter of {name}: {found:?}"));
            }
        }
        Ok(())
    }

    /// Compares the counters, which the memory node shows only by acquiring. So this is the end.
    pub(super) fn compare_counters(&mut self, strange: &Strange) -> Compared {
        let counters = Strange {
            counters: strange.counters.clone(),
            ..Strange::default()
        };
        for name in NAMES {
            self.delete(name);
            let entry = Entry::new(name, "end".into(), EXPIRY).with_fencing(true);
            self.ask(&counters, &Operation::Acquire(entry))?;
        }
        Ok(())
    }

    fn holders_in_memory(&self, name: &str) -> Option<Holders> {
        let found = self.paused.block_on(self.memory.inspect(name));
        found.expect("memory does not fail")
    }

    /// Carries out in memory what has happened on the server.
    fn remember(&self, operation: &Operation) {
        let answer = self.paused.block_on(operation.ask(&self.memory));
        answer.expect("memory does not fail");
    }
}

/// The key at which a counter is kept while another key is in its place.
fn put_aside(name: &str) -> String {
    format!("{}:aside", counter(name))
}
