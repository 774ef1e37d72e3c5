//! Shared waiters: they enter together, and overtake no exclusive one.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use redsync::{Guard, LockError, Redsync, Released, node::MemoryNode};
use redsync_tests::{
    RedisServer, Servers,
    faulty::{Fault, Operation},
    wait::{until, until_async},
};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::{
    NAME, SOON, WAIT, Watched, assert_before_a_poll, drowsy, fairness::from_afar, got, in_memory,
    ms, on_servers, poll_once, queue, until_waiting, waiting,
};

#[tokio::test(start_paused = true)]
async fn twenty_readers_that_always_come_back_run_side_by_side_again_after_one_write() {
    const READERS: u32 = 20;
    let stores: Vec<_> = (0..3).map(|_| MemoryNode::new()).collect();
    let redsync = from_afar(&stores, ms(1));
    let mutex = redsync.mutex(NAME);
    let entered = Arc::new(AtomicU32::new(0));
    let mut tasks = JoinSet::new();
    for _ in 0..READERS {
        let (mutex, entered) = (mutex.shared(), Arc::clone(&entered));
        tasks.spawn(async move {
            loop {
                let guard = mutex.lock_within(WAIT).await.expect("a lock");
                entered.fetch_add(1, Ordering::Relaxed);
                sleep(ms(50)).await;
                guard.release().await.expect("an answer");
            }
        });
    }
    let in_half_a_second = async || {
        let before = entered.load(Ordering::Relaxed);
        sleep(ms(500)).await;
        entered.load(Ordering::Relaxed) - before
    };
    let before = in_half_a_second().await;
    let start = Instant::now();
    let guard = mutex.lock_within(WAIT).await.expect("a lock");
    let waited = start.elapsed();
    guard.release().await.expect("an answer");
    // Until they have entered.
    sleep(ms(20)).await;
    let after = in_half_a_second().await;
    println!("{before} readers in 500 ms, {after} after a write that waited for {waited:?}");
    // Nine times each.
    assert!(before >= 8 * READERS, "{before}");
    assert!(after >= 8 * READERS, "{after}");
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    tasks.shutdown().await;
}

/// A writer holds the name, and fifty readers wait for it. From its release until all are in.
#[tokio::test(start_paused = true)]
async fn fifty_readers_behind_a_writer_enter_together() {
    // Which takes a message to a node, or back.
    let distance = ms(10);
    for from_here in [true, false] {
        let nodes: Vec<_> = (0..3)
            .map(|_| Watched {
                after: distance,
                ..Watched::new()
            })
            .collect();
        for watched in &nodes {
            let late = Fault::late_request(distance).and_late_reply(distance);
            watched.node.always(late);
        }
        let process = || drowsy(Redsync::new(nodes.clone()).expect("nodes"));
        let (here, there) = (process(), process());
        let writer = if from_here { &here } else { &there };
        let held = writer.mutex(NAME).lock().await.unwrap();
        let mutex = here.mutex(NAME).shared();
        let mut readers = JoinSet::new();
        for _ in 0..50 {
            readers.spawn(mutex.lock_within(WAIT));
        }
        sleep(ms(500)).await;
        let count = |operation| nodes[0].node.sent(operation).len();
        let acquired = count(Operation::Acquire);
        let start = Instant::now();
        held.release().await.unwrap();
        let guards: Vec<_> = readers.join_all().await;
        let took = start.elapsed();
        let attempts = count(Operation::Acquire) - acquired;
        println!("fifty readers (written here: {from_here}) in {took:?}, {attempts} attempts");
        // The release, a check or a wake-up, the attempt of the first, and that of all others.
        assert!(took <= 2 * distance * 4 + ms(5), "{took:?}");
        assert!(attempts <= 51, "{attempts}");
        let guards = guards.into_iter().map(|guard| guard.expect("a lock"));
        assert!(guards.filter(|guard| !guard.is_lost()).count() == 50);
    }
}

/// How many times a watch has asked a server.
fn watches(server: &RedisServer) -> u64 {
    let stats: String = server.query(&["INFO", "commandstats"]);
    let line = stats.lines().find(|line| line.contains("_exists:calls="));
    let calls = line.and_then(|line| line.split("calls=").nth(1)?.split(',').next());
    calls.map_or(0, |calls| calls.parse().expect("a number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_readers_behind_a_writer_enter_together_on_servers() {
    let servers = Servers::start(3);
    let [here, there] = on_servers(&servers);
    let held = there.mutex(NAME).lock().await.unwrap();
    let mutex = here.mutex(NAME).shared();
    let mut readers = JoinSet::new();
    for _ in 0..50 {
        readers.spawn(mutex.lock_within(WAIT));
    }
    until_waiting(&mutex, 50).await;
    // It does not watch a server that its first attempt got, because the writer had not come there yet.
    let reads = || servers.iter().map(watches).max().expect("servers");
    until("one of them watches", SOON, || reads() > 0);
    let start = Instant::now();
    held.release().await.unwrap();
    let guards = timeout(SOON, readers.join_all()).await.expect("an end");
    println!("fifty readers on servers in {:?}", start.elapsed());
    let guards: Vec<_> = guards
        .into_iter()
        .map(|guard| guard.expect("a lock"))
        .collect();
    // One of them watches for all.
    let reads = reads();
    assert!(reads < 10, "{reads}");
    assert!(matches!(
        here.mutex(NAME).try_lock().await,
        Err(LockError::Taken(_))
    ));
    drop(guards);
}

#[tokio::test(start_paused = true)]
async fn a_reader_behind_a_waiting_writer_waits() {
    for several in [false, true] {
        let ([redsync], _) = in_memory();
        let mutex = redsync.mutex(NAME);
        let held = mutex.shared().lock().await.unwrap();
        let mut writer = queue(mutex.lock_within(WAIT)).await;
        // Longer than the nodes hold readers back for a writer.
        sleep(ms(2000)).await;
        let names = if several {
            &[NAME, "other"][..]
        } else {
            &[NAME]
        };
        let reader = redsync.mutex_many(names.iter().copied()).shared();
        let mut reader = queue(reader.lock_within(WAIT)).await;
        sleep(ms(1000)).await;
        assert!(poll_once(&mut reader).await.is_pending());
        drop(held);
        sleep(ms(1)).await;
        let written = got(poll_once(&mut writer).await);
        assert!(poll_once(&mut reader).await.is_pending());
        let start = Instant::now();
        assert_eq!(written.release().await.unwrap(), Released::Held);
        drop(reader.await.unwrap());
        assert_before_a_poll(start);
    }
}

/// Nodes reserve a name for a writer that they have refused, for 500 ms to 750 ms. The writer does
/// not wait for the end of that: it enters when the last reader has left.
#[tokio::test(start_paused = true)]
async fn a_writer_enters_when_the_last_reader_has_left() {
    for between in [0, 1, 2, 3, 5, 8] {
        let stores: Vec<_> = (0..3).map(|_| MemoryNode::new()).collect();
        let redsync = from_afar(&stores, ms(2));
        let mutex = redsync.mutex(NAME);
        let mut readers = Vec::new();
        for _ in 0..8 {
            readers.push(mutex.shared().lock().await.unwrap());
        }
        let writer = tokio::spawn(mutex.lock_within(WAIT));
        sleep(ms(100)).await;
        for reader in readers {
            sleep(ms(between)).await;
            tokio::spawn(reader.release());
        }
        let start = Instant::now();
        drop(writer.await.unwrap().unwrap());
        let took = start.elapsed();
        assert!(took <= ms(20), "{between} ms between them: {took:?}");
    }
}

/// Whether a reader may enter now, and has left again.
async fn admits(redsync: &Redsync) -> bool {
    let guard = redsync.mutex(NAME).shared().try_lock().await;
    match guard {
        Ok(guard) => guard.release().await.is_ok(),
        Err(LockError::Taken(_)) => false,
        Err(error) => panic!("{error}"),
    }
}

async fn keeps_no_reader_out(writes: &Redsync, reads: &Redsync) {
    let held = writes.mutex(NAME).shared().lock().await.unwrap();
    for fencing in [false, true] {
        let mutex = writes.mutex(NAME).with_fencing(fencing);
        for lock in [mutex.try_lock(), mutex.lock_within(Duration::ZERO)] {
            assert!(lock.await.is_err());
            assert!(admits(reads).await, "fencing: {fencing}");
        }
    }
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_does_not_come_again_keeps_no_reader_out() {
    let ([here, there], _) = in_memory();
    keeps_no_reader_out(&here, &there).await;
}

#[tokio::test]
async fn a_writer_that_does_not_come_again_keeps_no_reader_out_on_servers() {
    let servers = Servers::start(3);
    let [here, there] = on_servers(&servers);
    keeps_no_reader_out(&here, &there).await;
}

/// A writer that has waited is dropped, or its time is over.
async fn readers_enter_when_it_has_left(writes: &Redsync, reads: &Redsync) {
    let held = writes.mutex(NAME).shared().lock().await.unwrap();
    for drops in [true, false] {
        let mutex = writes.mutex(NAME).with_retry_delay(ms(100));
        let limit = if drops { WAIT } else { ms(1000) };
        let writer = tokio::spawn(mutex.lock_within(limit));
        until_async("readers are kept out", SOON, async || !admits(reads).await).await;
        if drops {
            writer.abort();
            assert!(writer.await.is_err());
        } else {
            assert!(matches!(writer.await.unwrap(), Err(LockError::TimedOut(_))));
        }
        writes.drain().await;
        assert!(admits(reads).await, "dropped: {drops}");
    }
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn readers_enter_when_the_writer_has_left() {
    let ([here, there], _) = in_memory();
    readers_enter_when_it_has_left(&here, &there).await;
}

#[tokio::test]
async fn readers_enter_when_the_writer_has_left_on_servers() {
    let servers = Servers::start(3);
    let [here, there] = on_servers(&servers);
    readers_enter_when_it_has_left(&here, &there).await;
}

/// Of two writers, one leaves: the other is still next.
#[tokio::test(start_paused = true)]
async fn readers_are_kept_out_for_the_writer_that_stays() {
    let ([here, there], _) = in_memory();
    let held = here.mutex(NAME).shared().lock().await.unwrap();
    let mutex = here.mutex(NAME).with_retry_delay(ms(100));
    let leaves = tokio::spawn(mutex.lock_within(WAIT));
    until_waiting(&mutex, 1).await;
    let stays = tokio::spawn(mutex.lock_within(WAIT));
    until_waiting(&mutex, 2).await;
    let start = Instant::now();
    leaves.abort();
    assert!(leaves.await.is_err());
    for _ in 0..100 {
        assert!(!admits(&there).await, "{:?}", start.elapsed());
        sleep(ms(10)).await;
    }
    drop(held);
    drop(stays.await.unwrap().unwrap());
}

/// Readers on both sides of a writer: those before it enter at once, and those behind it after it.
#[tokio::test(start_paused = true)]
async fn a_run_ends_at_the_next_writer() {
    let ([redsync], _) = in_memory();
    let mutex = redsync.mutex(NAME);
    let held = mutex.lock().await.unwrap();
    let log = Arc::new(std::sync::Mutex::new(String::new()));
    let mut tasks = JoinSet::new();
    for mode in "rrrwrrwr".chars() {
        let lock = match mode {
            'r' => mutex.shared().lock_within(WAIT),
            _ => mutex.lock_within(WAIT),
        };
        let (waiter, log) = (queue(lock).await, Arc::clone(&log));
        let note = move |mode: char| log.lock().unwrap().push(mode);
        tasks.spawn(async move {
            let guard = waiter.await.expect("a lock");
            note(mode);
            sleep(ms(10)).await;
            note(mode.to_ascii_uppercase());
            guard.release().await.expect("an answer");
        });
    }
    let start = Instant::now();
    drop(held);
    tasks.join_all().await;
    assert_before_a_poll(start);
    assert_eq!(*log.lock().unwrap(), "rrrRRRwWrrRRwWrR");
}

/// The first of a run leaves, wherever it is: another one asks the nodes for the rest.
#[tokio::test(start_paused = true)]
async fn a_run_goes_on_when_its_first_waiter_is_dropped() {
    for from_here in [true, false] {
        for millis in 0..60 {
            let stores: Vec<_> = (0..3).map(|_| MemoryNode::new()).collect();
            let (here, there) = (from_afar(&stores, ms(5)), from_afar(&stores, ms(5)));
            let writer = if from_here { &here } else { &there };
            let held = writer.mutex(NAME).lock().await.unwrap();
            let mutex = here.mutex(NAME).shared();
            let first = tokio::spawn(mutex.lock_within(WAIT));
            sleep(ms(1)).await;
            let mut rest = JoinSet::new();
            for _ in 0..3 {
                rest.spawn(mutex.lock_within(WAIT));
            }
            sleep(ms(100)).await;
            let start = Instant::now();
            drop(held);
            sleep(ms(millis)).await;
            first.abort();
            // Dropped with its lock, if it has one already.
            drop(first);
            let guards = rest.join_all().await;
            assert_before_a_poll(start);
            assert!(guards.iter().all(Result::is_ok));
            drop(guards);
            assert!(!waiting(&mutex, 1).await);
            here.drain().await;
            assert!(stores.iter().all(MemoryNode::is_empty), "{millis} ms");
        }
    }
}

/// Waiters that are shared, exclusive or for several names come and leave at any time: nobody is left
/// waiting.
#[tokio::test(start_paused = true)]
async fn a_mix_of_waiters_leaves_nobody_waiting() {
    const NAMES: [&str; 3] = ["a", "b", "c"];
    const SEEDS: u32 = 20;
    let mut sum = Duration::ZERO;
    for seed in 0..SEEDS {
        fastrand::seed(seed.into());
        let stores: Vec<_> = (0..3).map(|_| MemoryNode::new()).collect();
        let processes = [(); 2].map(|()| from_afar(&stores, ms(1)));
        let mut tasks = JoinSet::new();
        let start = Instant::now();
        for number in 0..40 {
            tasks.spawn(live(processes[number % 2].clone(), NAMES));
        }
        let longest = tasks.join_all().await.into_iter().max().unwrap();
        let took = start.elapsed();
        sum += longest;
        // No poll has helped: they are a minute apart.
        assert!(took < SOON, "seed {seed}: {took:?}");
        for redsync in &processes {
            redsync.drain().await;
            for name in NAMES {
                assert!(!waiting(&redsync.mutex(name), 1).await, "seed {seed}");
            }
        }
    }
    let longest = sum / SEEDS;
    println!("forty tasks of two processes: the longest wait is {longest:?} on an average");
    // Nobody is overtaken again and again.
    assert!(longest < Duration::from_secs(3), "{longest:?}");
}

/// Returns its longest wait.
async fn live(redsync: Redsync, names: [&'static str; 3]) -> Duration {
    let mut longest = Duration::ZERO;
    for _ in 0..10 {
        let count = [1, 1, 2, 3][fastrand::usize(..4)];
        let wanted = fastrand::choose_multiple(names, count);
        let mutex = redsync.mutex_many(wanted);
        let mutex = if fastrand::bool() {
            mutex.shared()
        } else {
            mutex
        };
        let start = Instant::now();
        let lock = mutex.lock_within(WAIT);
        let guard: Option<Guard> = if fastrand::u8(..4) == 0 {
            let limit = ms(fastrand::u64(..40));
            timeout(limit, lock)
                .await
                .ok()
                .map(|guard| guard.expect("a lock"))
        } else {
            Some(lock.await.expect("a lock"))
        };
        let Some(guard) = guard else { continue };
        longest = longest.max(start.elapsed());
        sleep(ms(fastrand::u64(..4))).await;
        match fastrand::u8(..3) {
            0 => drop(guard),
            1 => drop(guard.release()),
            _ => drop(guard.release().await.expect("an answer")),
        }
    }
    longest
}

/// Threads wait for one or several names, shared or not, and leave at any moment. If a notice is lost,
/// the test hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_mix_of_waiters_on_several_threads_leaves_nobody_waiting() {
    let redsync = drowsy(Redsync::in_memory(3));
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..8 {
        let redsync = redsync.clone();
        tasks.spawn(async move {
            let mut locks = 0;
            for _ in 0..300 {
                let count = fastrand::usize(1..=3);
                let mutex = redsync.mutex_many(fastrand::choose_multiple(["a", "b", "c"], count));
                let mutex = if fastrand::bool() {
                    mutex.shared()
                } else {
                    mutex
                };
                let lock = mutex.lock_within(WAIT);
                let guard = if fastrand::bool() {
                    Some(lock.await)
                } else {
                    let limit = Duration::from_micros(fastrand::u64(1..2000));
                    timeout(limit, lock).await.ok()
                };
                let Some(guard) = guard else { continue };
                locks += 1;
                match fastrand::u8(..3) {
                    0 => drop(guard.expect("a lock")),
                    1 => drop(guard.expect("a lock").release()),
                    _ => drop(guard.expect("a lock").release().await),
                }
            }
            locks
        });
    }
    let locks = timeout(SOON, tasks.join_all()).await;
    let locks: u32 = locks.expect("a lost notice").into_iter().sum();
    println!("8 tasks, {locks} locks: {:?}", start.elapsed());
    for name in ["a", "b", "c"] {
        assert!(!waiting(&redsync.mutex(name), 1).await);
    }
}
