//! All that the core does, and what it shows of it.

use std::time::Duration;

use redsync::{
    Guard, LockError, Redsync,
    node::{Entry, MemoryNode, Node},
};
use redsync_tests::Servers;

use crate::{SOON, log::Log, until_quiet};

const NAME: &str = "order:42";

/// An owner value from elsewhere.
pub(crate) const RESUMED: &str = "8d1c5e0b7a3f49264f0e6a9b2d7c8135";

/// On servers that work.
pub(crate) async fn live(redsync: &Redsync, servers: &Servers, log: &Log) {
    let mutex = redsync.mutex(NAME).with_fencing(true);
    log.note_debug(redsync);
    log.note_debug(&mutex);
    log.note_debug(&mutex.lock());

    held(redsync, log).await;
    contended(redsync, log).await;
    lost(redsync, servers, log).await;
    moved(redsync, log).await;
    of_all_kinds(redsync, log).await;
    not_a_lock(redsync, servers, log).await;
    nodes(log).await;
    redsync.drain().await;
    until_quiet(servers).await;
}

fn show(guard: &Guard, log: &Log) {
    log.note_debug(guard);
    log.note_debug(&guard.validity());
    log.note_debug(&guard.lost());
    log.note_debug(guard.expose_value());
    log.note_debug(&guard.expose_value().fingerprint());
    log.note_debug(&guard.fencing_token());
}

async fn held(redsync: &Redsync, log: &Log) {
    let mutex = redsync.mutex(NAME).with_fencing(true);
    let mut guard = mutex.lock().await.unwrap();
    show(&guard, log);
    guard.extend().await.unwrap();
    guard.keep_alive();
    guard.delay_drain();
    log.note_debug(&guard.lost_token());
    log.note_debug(&guard.verify().await);
    log.note_debug(&mutex.inspect().await);
    log.note_debug(&redsync.probe().await);
    log.note_debug(&redsync.drain_guard());
    let release = guard.release();
    log.note_debug(&release);
    log.note_debug(&release.await);
    // Several, of which some are handed over.
    let waiters = (0..20).map(|_| async {
        let guard = mutex.lock_within(SOON).await.unwrap();
        show(&guard, log);
    });
    futures_util::future::join_all(waiters).await;
}

async fn contended(redsync: &Redsync, log: &Log) {
    let mutex = redsync.mutex(NAME);
    let guard = mutex.lock().await.unwrap();
    let wait = Duration::from_millis(100);
    refused(mutex.try_lock().await, log);
    refused(mutex.lock_within(wait).await, log);
    refused(mutex.shared().lock_within(wait).await, log);
    refused(
        mutex.clone().with_max_waiting(0).lock_within(wait).await,
        log,
    );
    let error = mutex.clone().with_tries(2).run(async |_| ()).await;
    log.note_error(&error.unwrap_err());
    drop(tokio::time::timeout(wait, mutex.lock_within(SOON)).await);
    drop(guard);
    refused(redsync.mutex("").lock().await, log);
}

#[track_caller]
fn refused(locked: Result<Guard, LockError>, log: &Log) {
    let error = locked.expect_err("it is refused");
    log.note_error(&error);
    if let Some(votes) = error.votes() {
        log.note(&votes.to_string());
        log.note_debug(votes);
    }
}

async fn lost(redsync: &Redsync, servers: &Servers, log: &Log) {
    let mutex = redsync.mutex(NAME);
    let remove = || {
        servers
            .iter()
            .for_each(|server| drop(server.command(&["DEL", NAME])))
    };

    let mut guard = mutex.lock().await.unwrap();
    guard.keep_alive();
    remove();
    log.note_error(&guard.extend().await.unwrap_err());
    guard.lost().await;
    show(&guard, log);
    log.note_debug(&guard.verify().await);
    log.note_debug(&guard.release().await);

    let run = mutex.run(async |held| {
        log.note_debug(&held);
        remove();
        std::future::pending::<()>().await;
    });
    let run = tokio::time::timeout(SOON, run).await.expect("it is lost");
    log.note_error(&run.unwrap_err());

    let guard = mutex.lock().await.unwrap();
    log.note_debug(&mutex.force_release().await);
    log.note_debug(&guard.release().await);
}

async fn moved(redsync: &Redsync, log: &Log) {
    let mutex = redsync.mutex(NAME).with_fencing(true);
    let parts = mutex.lock().await.unwrap().into_parts();
    log.note_debug(&parts);
    log.note_debug(&redsync::Resume::from(parts.clone()));
    log.note_error(
        &redsync
            .mutex("order:43")
            .resume(parts.clone())
            .await
            .unwrap_err(),
    );
    let guard = mutex.resume(parts.clone()).await.unwrap();
    show(&guard, log);
    guard.release().await.unwrap();
    // It is held no longer.
    let error = mutex.resume(parts).await.unwrap_err();
    assert!(matches!(error, LockError::NotHeld(_)), "{error}");
    log.note_error(&error);
}

async fn of_all_kinds(redsync: &Redsync, log: &Log) {
    let shared = redsync.mutex("catalog").shared();
    let readers = [shared.lock().await.unwrap(), shared.lock().await.unwrap()];
    log.note_debug(&readers);
    log.note_debug(&shared.inspect().await);
    let writer = redsync
        .mutex("catalog")
        .lock_within(Duration::from_millis(300));
    refused(writer.await, log);

    let several = redsync.mutex_many(["account:1", "account:2"]);
    let several = several.with_fencing(true).lock().await.unwrap();
    show(&several, log);

    let semaphore = redsync.semaphore("export", 2);
    let permits = [
        semaphore.lock().await.unwrap(),
        semaphore.lock().await.unwrap(),
    ];
    log.note_debug(&permits);
    refused(semaphore.try_lock().await, log);
    log.note_debug(&semaphore.inspect().await);

    let brief = redsync
        .mutex("brief")
        .with_min_hold(Duration::from_millis(100));
    drop(brief.lock().await.unwrap());
    let short = Duration::from_millis(200);
    let short = redsync
        .mutex("short")
        .with_expiry(short)
        .with_node_timeout(short);
    // On a busy machine it may come too late.
    match short.lock().await {
        Ok(guard) => {
            guard.lost().await;
            show(&guard, log);
        }
        Err(error) => log.note_error(&error),
    }
}

async fn not_a_lock(redsync: &Redsync, servers: &Servers, log: &Log) {
    for server in servers {
        server.command(&["SET", "plain", "text"]);
        server.command(&["LPUSH", "list", "text"]);
    }
    for name in ["plain", "list"] {
        for mutex in [
            redsync.mutex(name),
            redsync.mutex(name).with_fencing(true),
            redsync.mutex(name).shared(),
        ] {
            refused(mutex.lock().await, log);
            log.note_debug(&mutex.inspect().await);
        }
    }
    for server in servers {
        server.command(&["DEL", "plain", "list"]);
    }
}

/// The types of those who write nodes.
async fn nodes(log: &Log) {
    let node = MemoryNode::new();
    let entry = Entry::new(NAME, "a value".into(), SOON);
    log.note_debug(&entry);
    log.note_debug(&node.acquire(&entry).await);
    log.note_debug(&node.inspect(NAME).await);
    log.note_debug(&node.release(&entry).await);
    log.note_debug(&node);
}

/// On servers that do not know the commands that most locks need.
pub(crate) async fn without_scripts(redsync: &Redsync, log: &Log) {
    let mutex = redsync.mutex(NAME);
    for mutex in [
        mutex.clone(),
        mutex.clone().with_fencing(true),
        mutex.shared(),
    ] {
        match mutex.try_lock().await {
            Ok(guard) => log.note_debug(&guard.release().await),
            Err(error) => log.note_error(&error),
        }
        log.note_debug(&mutex.inspect().await);
        log.note_debug(&mutex.resume(RESUMED).await);
    }
    log.note_debug(&redsync.probe().await);
    redsync.drain().await;
}

/// When no server is left.
pub(crate) async fn in_an_outage(redsync: &Redsync, log: &Log) {
    let mutex = redsync.mutex(NAME).with_outage_attempts(2);
    refused(mutex.lock_within(SOON).await, log);
    refused(mutex.resume(RESUMED).await, log);
    log.note_debug(&mutex.inspect().await);
    log.note_debug(&mutex.force_release().await);
    log.note_debug(&redsync.probe().await);
}
