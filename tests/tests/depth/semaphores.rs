//! Semaphores: their keys, what of a mutex they have, and what they cannot have.

use std::{collections::HashSet, time::Duration};

use redsync::{ConfigError, LockError, Mode, Mutex, Redsync};
use redsync_tests::Servers;

use crate::{memory, patient};

const NAME: &str = "export";

fn refused(mutex: &Mutex) -> String {
    match mutex.check() {
        Err(
            error @ ConfigError::Option {
                option: "permits", ..
            },
        ) => error.to_string(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn as_many_hold_a_permit_as_there_are() {
    let (redsync, nodes) = memory();
    let mutex = redsync.semaphore(NAME, 3);
    let mut guards = Vec::new();
    for _ in 0..3 {
        guards.push(mutex.try_lock().await.unwrap());
    }
    let names: HashSet<_> = guards.iter().map(|guard| guard.name().to_owned()).collect();
    assert_eq!(names, mutex.keys().collect());
    let error = match mutex.try_lock().await {
        Err(error @ LockError::Taken(_)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(
        error.contains("`export`") && !error.contains("permit-"),
        "{error}"
    );

    guards.pop().unwrap().release().await.unwrap();
    guards.push(mutex.try_lock().await.unwrap());
    drop(guards);
    redsync.drain().await;
    assert_eq!(nodes[0].len(), 0);
}

#[tokio::test]
async fn attempts_begin_with_a_permit_at_random() {
    let (redsync, _) = memory();
    let mut names = HashSet::new();
    for _ in 0..200 {
        let guard = redsync.semaphore(NAME, 3).try_lock().await.unwrap();
        names.insert(guard.name().to_owned());
        guard.release().await.unwrap();
    }
    assert_eq!(names.len(), 3);
}

#[tokio::test]
async fn one_permit_is_the_mutex_and_meets_the_key_of_go_redsync() {
    let servers = Servers::start(3);
    let redsync = patient(Redsync::connect(servers.urls()).unwrap());
    let one = redsync.semaphore(NAME, 1);
    let guard = one
        .with_fencing(true)
        .with_fail_fast(false)
        .lock()
        .await
        .unwrap();
    assert!(guard.fencing_token().is_some());
    for server in &servers {
        assert_eq!(
            server.get(NAME).as_deref(),
            Some(guard.expose_value().as_str())
        );
        let set = server.command(&["SET", NAME, "theirs", "NX", "PX", "8000"]);
        assert_eq!(set, redis::Value::Nil);
    }
    assert!(redsync.mutex(NAME).try_lock().await.is_err());
}

#[tokio::test]
async fn the_permits_are_keys_of_their_own_on_servers() {
    let servers = Servers::start(3);
    let redsync = patient(Redsync::connect(servers.urls()).unwrap());
    let mutex = (redsync.semaphore(NAME, 2))
        .with_key_prefix("shop:")
        .with_fail_fast(false);
    let _guards = [mutex.lock().await.unwrap(), mutex.lock().await.unwrap()];
    assert!(mutex.keys().eq(["shop:export", "shop:export:permit-2"]));
    for server in &servers {
        let keys: HashSet<_> = server.keys().into_iter().collect();
        assert_eq!(keys, mutex.keys().collect());
    }
    // Each node shows the holders of all permits.
    for node in mutex.inspect().await.unwrap() {
        let holders = node.holders.unwrap();
        let names: Vec<_> = holders.iter().map(|holder| &*holder.name).collect();
        assert_eq!(names, ["shop:export", "shop:export:permit-2"]);
    }
}

#[tokio::test]
async fn while_the_number_changes_the_larger_one_is_the_limit() {
    let (redsync, _) = memory();
    let (old, new) = (redsync.semaphore(NAME, 2), redsync.semaphore(NAME, 3));
    for first in [&old, &new] {
        let mut guards = vec![first.try_lock().await.unwrap()];
        for mutex in [&old, &new, &old, &new, &new] {
            guards.extend(mutex.try_lock().await);
        }
        assert_eq!(guards.len(), 3);
        drop(guards);
        redsync.drain().await;
    }
}

#[test]
fn what_a_semaphore_cannot_be_is_refused() {
    let (redsync, _) = memory();
    let fenced = redsync
        .clone()
        .with_defaults(|mutex| mutex.with_fencing(true));
    assert!(
        fenced.unwrap().semaphore(NAME, 2).check().is_ok(),
        "turned off"
    );
    let mutex = redsync.semaphore(NAME, 2);
    mutex.check().unwrap();
    redsync.semaphore(NAME, Mutex::MAX_PERMITS).check().unwrap();
    for (wrong, why) in [
        (redsync.semaphore(NAME, 0), "from 1 to 64, but is 0"),
        (redsync.semaphore(NAME, 65), "from 1 to 64, but is 65"),
        (mutex.clone().with_fencing(true), "fenced"),
        (mutex.with_mode(Mode::Shared), "shared"),
        (
            redsync.mutex_many(["a", "b"]).with_permits(2),
            "several names",
        ),
    ] {
        let error = refused(&wrong);
        assert!(error.contains(why), "{error}");
    }
    for name in ["export:permit-2", "a:permit-3:permit-12"] {
        let check = redsync.mutex(name).check();
        assert!(
            matches!(check, Err(ConfigError::ReservedName { .. })),
            "{name}"
        );
    }
    for name in [
        "export:permit-",
        "export:permit-x",
        "permit-2",
        "a:permit-2:b",
    ] {
        redsync.mutex(name).check().unwrap();
    }
}

#[tokio::test]
async fn a_permit_covers_its_semaphore_and_no_other() {
    let (redsync, _) = memory();
    let mutex = redsync.semaphore(NAME, 3);
    let guards = [mutex.lock().await.unwrap(), mutex.lock().await.unwrap()];
    for guard in &guards {
        assert!(mutex.is_covered_by(&guard.validity()));
        assert!(
            !redsync
                .semaphore("import", 3)
                .is_covered_by(&guard.validity())
        );
    }
    let plain = redsync.mutex(NAME);
    for guard in &guards {
        assert_eq!(plain.is_covered_by(&guard.validity()), guard.name() == NAME);
    }
}

#[tokio::test(start_paused = true)]
async fn a_permit_is_kept_alive_and_moves_to_another_process() {
    let (redsync, _) = memory();
    let mutex = redsync.semaphore(NAME, 2);
    let first = mutex.lock().await.unwrap();
    let mut guard = mutex.lock().await.unwrap();
    guard.keep_alive();
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(first.is_lost() && !guard.is_lost());

    let name = guard.name().to_owned();
    let value = guard.expose_value().clone();
    let parts = guard.into_parts();
    let alone = mutex.resume(value).await;
    assert!(matches!(
        alone,
        Err(LockError::Config(ConfigError::OtherLock { .. }))
    ));
    let resumed = mutex.resume(parts).await.unwrap();
    assert_eq!(resumed.name(), name);
    assert!(resumed.verify().await.unwrap());
}
