use std::time::Duration;

use redsync::{LockError, Redsync, Released};
use redsync_tests::{Servers, wait::until_async};
use tokio::time::{Instant, sleep};

use super::{MILLI, memory, patient};

/// Checks that a name has many shared holders or one exclusive holder.
async fn exclude(redsync: &Redsync) {
    let mutex = redsync.mutex("catalog").with_expiry(60_000 * MILLI);
    let (one, another) = (
        mutex.shared().lock().await.unwrap(),
        mutex.shared().lock().await.unwrap(),
    );
    assert!(matches!(mutex.try_lock().await, Err(LockError::Taken(_))));
    assert_eq!(one.release().await.unwrap(), Released::Held);
    assert!(matches!(mutex.try_lock().await, Err(LockError::Taken(_))));
    assert_eq!(another.release().await.unwrap(), Released::Held);

    let exclusive = mutex.lock_within(Duration::from_secs(5)).await.unwrap();
    assert!(matches!(
        mutex.shared().try_lock().await,
        Err(LockError::Taken(_))
    ));
    assert_eq!(exclusive.release().await.unwrap(), Released::Held);
    assert!(
        mutex
            .shared()
            .lock_within(Duration::from_secs(5))
            .await
            .is_ok()
    );
    redsync.drain().await;
}

#[tokio::test(start_paused = true)]
async fn many_shared_or_one_exclusive() {
    let (redsync, nodes) = memory();
    exclude(&redsync).await;
    assert!(nodes.iter().all(redsync::node::MemoryNode::is_empty));
}

#[tokio::test]
async fn many_shared_or_one_exclusive_on_real_servers() {
    for count in [3, 5] {
        let servers = Servers::start(count);
        exclude(&patient(Redsync::connect(servers.urls()).unwrap())).await;
        // A node reserves the name for an exclusive attempt that found it shared. The reservation
        // ends by itself after 750 ms at most; the locks would expire much later.
        until_async("all is released", Duration::from_secs(20), async || {
            servers.iter().all(|server| server.keys().is_empty())
        })
        .await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_shared_holder_has_an_expiry_of_its_own() {
    let (redsync, _) = memory();
    let mutex = redsync.mutex("catalog").with_expiry(1000 * MILLI);
    let mut kept = mutex.shared().lock().await.unwrap();
    kept.keep_alive();
    let forgotten = mutex.shared().lock().await.unwrap();
    sleep(Duration::from_secs(5)).await;
    assert!(forgotten.is_lost());
    assert!(!kept.is_lost());
    assert!(mutex.try_lock().await.is_err());
    kept.release().await.unwrap();
    assert!(mutex.lock_within(Duration::from_secs(1)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_stream_of_shared_holders_does_not_starve_an_exclusive_one() {
    let (redsync, _) = memory();
    let mutex = redsync.mutex("catalog");
    // Two alternate, and each comes before the other leaves, so there is always a shared holder.
    let stream = tokio::spawn({
        let mutex = mutex.clone();
        async move {
            let mut last = mutex.shared().lock().await;
            loop {
                sleep(30 * MILLI).await;
                let next = mutex.shared().try_lock().await;
                sleep(30 * MILLI).await;
                drop(std::mem::replace(&mut last, next));
            }
        }
    });
    sleep(100 * MILLI).await;
    let started = Instant::now();
    let guard = mutex.lock_within(Duration::from_secs(10)).await.unwrap();
    assert!(
        started.elapsed() < Duration::from_secs(2),
        "{:?}",
        started.elapsed()
    );
    drop(guard);
    stream.abort();
}

#[tokio::test]
async fn a_go_client_sees_a_shared_lock_as_taken_and_cannot_destroy_it() {
    let servers = Servers::start(3);
    let redsync = patient(Redsync::connect(servers.urls()).unwrap());
    let guard = redsync.mutex("catalog").shared().lock().await.unwrap();
    let compare_and_delete = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";
    // Then the commands under way have settled, on the third server too.
    redsync.drain().await;
    for server in &servers {
        let set: Option<String> = server.query(&["SET", "catalog", "go", "NX", "PX", "8000"]);
        assert_eq!(set, None);
        let value = guard.expose_value().as_str();
        server
            .try_command(&["EVAL", compare_and_delete, "1", "catalog", value])
            .unwrap_err();
    }
    assert_eq!(guard.release().await.unwrap(), Released::Held);
    redsync.drain().await;
    servers.assert_no_keys();
}

#[tokio::test]
async fn a_sorted_set_that_is_not_a_lock_is_recognized_and_left_alone() {
    let servers = Servers::start(1);
    let redsync = patient(Redsync::connect(servers.urls()).unwrap());
    let mutex = redsync.mutex("board");
    for expires in [false, true] {
        servers[0].command(&["ZADD", "board", "10", "ann", "20", "bob"]);
        if expires {
            servers[0].command(&["PEXPIRE", "board", "60000"]);
        }
        for mutex in [
            mutex.clone(),
            mutex.shared(),
            mutex.clone().with_fencing(true),
        ] {
            let result = mutex.try_lock().await;
            assert!(matches!(result, Err(LockError::NotALock(_))), "{result:?}");
        }
        redsync.drain().await;
        let members: Vec<String> = servers[0].query(&["ZRANGE", "board", "0", "-1"]);
        assert_eq!(members, ["ann", "bob"]);
        assert_eq!(servers[0].pttl("board") > 0, expires);
    }
}
