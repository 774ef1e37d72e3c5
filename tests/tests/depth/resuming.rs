use std::time::Duration;

use redsync::{ConfigError, GuardParts, LockError, Redsync, Released};
use redsync_tests::Servers;

use super::{memory, patient};

#[tokio::test]
async fn a_lock_moves_to_another_process_and_back_with_its_token() {
    let servers = Servers::start(5);
    let here = patient(Redsync::connect(servers.urls()).unwrap());
    let there = patient(Redsync::connect(servers.urls()).unwrap());
    let mutex = |redsync: &Redsync| redsync.mutex("job:7").with_fencing(true);

    let guard = mutex(&here).lock().await.unwrap();
    let token = guard.fencing_token();
    let written = serde_json::to_string(&guard.into_parts()).unwrap();

    let read: GuardParts = serde_json::from_str(&written).unwrap();
    let guard = mutex(&there).resume(read).await.unwrap();
    assert_eq!(guard.fencing_token(), token);
    assert!(
        guard.remaining() > Duration::from_secs(5),
        "{:?}",
        guard.remaining()
    );
    guard.extend().await.unwrap();

    let guard = mutex(&here).resume(guard.into_parts()).await.unwrap();
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    assert!(mutex(&here).try_lock().await.unwrap().fencing_token() > token);
}

#[tokio::test(start_paused = true)]
async fn parts_fit_only_their_own_names_and_mode() {
    let (redsync, _) = memory();
    let parts = redsync.mutex("a").lock().await.unwrap().into_parts();
    for other in [redsync.mutex("b"), redsync.mutex("a").shared()] {
        assert!(matches!(
            other.resume(parts.clone()).await,
            Err(LockError::Config(ConfigError::OtherLock { .. }))
        ));
    }
    drop(redsync.mutex("a").resume(parts).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn a_released_or_expired_lock_cannot_be_resumed() {
    let (redsync, _) = memory();
    let mutex = redsync.mutex("a");
    let guard = mutex.lock().await.unwrap();
    let value = guard.expose_value().clone();
    guard.release().await.unwrap();
    redsync.drain().await;
    assert!(matches!(
        mutex.resume(value).await,
        Err(LockError::NotHeld(_))
    ));

    let parts = mutex.lock().await.unwrap().into_parts();
    tokio::time::sleep(Duration::from_secs(9)).await;
    assert!(matches!(
        mutex.resume(parts).await,
        Err(LockError::NotHeld(_))
    ));
}

#[tokio::test(start_paused = true)]
async fn after_the_end_of_the_validity_a_lock_cannot_be_resumed_though_its_keys_are_there() {
    let (redsync, nodes) = memory();
    let mutex = redsync.mutex("a");
    for is_lost in [false, true] {
        let guard = mutex.lock().await.unwrap();
        let (until, value) = (guard.until(), guard.expose_value().clone());
        // The guard is taken apart immediately before, or immediately after it is lost.
        tokio::time::sleep_until(until - Duration::from_millis(u64::from(!is_lost))).await;
        assert_eq!(guard.is_lost(), is_lost);
        let parts = guard.into_parts();
        tokio::time::sleep_until(until).await;
        assert!(nodes.iter().all(|node| node.len() == 1));
        for resumed in [mutex.resume(parts).await, mutex.resume(value).await] {
            assert!(matches!(resumed, Err(LockError::NotHeld(_))), "{resumed:?}");
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_has_reached_its_maximum_hold_cannot_be_resumed() {
    let (redsync, nodes) = memory();
    let mutex = redsync.mutex("a").with_max_hold(Duration::from_secs(2));
    let guard = mutex.lock().await.unwrap();
    guard.lost().await;
    let parts = guard.into_parts();
    assert!(nodes.iter().all(|node| node.len() == 1));
    let error = redsync.mutex("a").resume(parts).await.unwrap_err();
    assert!(matches!(error, LockError::NotHeld(_)), "{error:?}");
    assert!(error.to_string().contains("`a` is not held"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_maximum_hold_starts_again_when_a_lock_is_resumed() {
    let (redsync, _) = memory();
    let mutex = redsync.mutex("a").with_max_hold(Duration::from_secs(2));
    let guard = mutex.lock().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    let resumed = tokio::time::Instant::now();
    let mut guard = mutex.resume(guard.into_parts()).await.unwrap();
    guard.keep_alive();
    guard.lost().await;
    assert_eq!(resumed.elapsed(), Duration::from_secs(2));
}

#[tokio::test(start_paused = true)]
async fn parts_do_not_show_the_value() {
    let (redsync, _) = memory();
    let parts = redsync.mutex("a").lock().await.unwrap().into_parts();
    assert!(!format!("{parts:?}").contains(parts.value.as_str()));
}

#[tokio::test]
async fn inspection_shows_the_holder_on_each_node_and_not_its_value() {
    let servers = Servers::start(3);
    let redsync = patient(Redsync::connect(servers.urls()).unwrap());
    let mutex = redsync.mutex("a");
    assert!(
        mutex
            .inspect()
            .await
            .unwrap()
            .iter()
            .all(|node| node.holders.as_ref().unwrap().is_empty())
    );

    let guard = mutex.lock().await.unwrap();
    redsync.drain().await;
    servers[2].kill();
    let inspected = mutex.inspect().await.unwrap();
    assert!(!format!("{inspected:?}").contains(guard.expose_value().as_str()));
    for (node, server) in inspected.iter().zip(&servers).take(2) {
        assert_eq!(*node.address, server.address());
        let [holder] = &node.holders.as_ref().unwrap()[..] else {
            panic!("{node:?}");
        };
        assert_eq!(holder.fingerprint, guard.expose_value().fingerprint());
        assert_eq!(&*holder.name, "a");
        assert!(holder.remaining.unwrap() > Duration::from_secs(1));
    }
    assert!(inspected[2].holders.is_err());
}
