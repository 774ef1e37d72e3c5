//! Which mutexes a held lock covers.

use std::time::Duration;

use super::memory;

#[tokio::test(start_paused = true)]
async fn a_lock_covers_mutexes_that_ask_for_no_more_than_it_has() {
    let (redsync, _) = memory();
    let [a, b, both] = [
        redsync.mutex("a"),
        redsync.mutex("b"),
        redsync.mutex_many(["a", "b"]),
    ];
    let held = both.lock().await.unwrap();
    let validity = held.validity();
    for mutex in [&a, &b, &both, &a.shared()] {
        assert!(mutex.is_covered_by(&validity), "{mutex:?}");
    }
    let fenced = a.clone().with_fencing(true);
    let elsewhere = memory().0.mutex("a");
    for mutex in [&redsync.mutex("c"), &fenced, &elsewhere] {
        assert!(!mutex.is_covered_by(&validity), "{mutex:?}");
    }
    held.release().await.unwrap();
    assert!(!a.is_covered_by(&validity), "the lock is released");

    let held = a.lock().await.unwrap();
    assert!(!both.is_covered_by(&held.validity()), "one name is missing");
    held.release().await.unwrap();

    let held = a.shared().lock().await.unwrap();
    assert!(a.shared().is_covered_by(&held.validity()));
    assert!(!a.is_covered_by(&held.validity()), "others share the lock");
    held.release().await.unwrap();

    let held = fenced.lock().await.unwrap();
    assert!(fenced.is_covered_by(&held.validity()) && a.is_covered_by(&held.validity()));
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!a.is_covered_by(&held.validity()), "the lock is lost");
}
