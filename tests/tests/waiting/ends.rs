//! What the old guard tells when its lock is handed over.

use redsync::Released;
use tokio::time::{Duration, Instant, sleep};

use crate::{NAME, WAIT, in_memory, ms, queue};

#[tokio::test(start_paused = true)]
async fn all_views_of_the_old_guard_end() {
    let ([redsync], _) = in_memory();
    let mutex = redsync.mutex(NAME).with_fencing(true);
    for dropped in [true, false] {
        let mut old = mutex.lock().await.unwrap();
        let (validity, token) = (old.validity(), old.lost_token());
        let lost = tokio::spawn(old.lost());
        let lost_view = tokio::spawn(validity.lost());
        let waiter = queue(mutex.lock_within(WAIT)).await;
        sleep(ms(1)).await;
        assert!(!validity.is_lost() && !token.is_cancelled() && !lost.is_finished());

        let start = Instant::now();
        if dropped {
            drop(old);
        } else {
            let release = old.release();
            assert!(validity.is_lost() && token.is_cancelled());
            assert_eq!(release.await.unwrap(), Released::Held);
        }
        let new = waiter.await.unwrap();
        assert!(validity.is_lost() && token.is_cancelled());
        assert_eq!(validity.remaining(), Duration::ZERO);
        assert!(!mutex.is_covered_by(&validity));
        lost.await.unwrap();
        lost_view.await.unwrap();
        assert_eq!(start.elapsed(), Duration::ZERO);

        // And those of the new one are its own.
        assert!(!new.is_lost() && mutex.is_covered_by(&new.validity()));
        assert!(new.fencing_token() > validity.fencing_token());
        new.extend().await.unwrap();
        assert!(validity.is_lost());
        assert_eq!(new.release().await.unwrap(), Released::Held);
    }
}

#[tokio::test(start_paused = true)]
async fn the_keep_alive_of_the_old_guard_ends() {
    let expiry = Duration::from_secs(2);
    let ([redsync], nodes) = in_memory();
    let mutex = redsync.mutex(NAME).with_expiry(expiry);
    let mut old = mutex.lock().await.unwrap();
    old.keep_alive();
    let waiter = queue(mutex.lock_within(WAIT)).await;
    drop(old);
    let new = waiter.await.unwrap();
    let until = new.until();
    sleep(expiry).await;
    assert!(new.is_lost());
    assert_eq!(new.until(), until);
    assert!(nodes.iter().all(redsync::node::MemoryNode::is_empty));
}

#[tokio::test(start_paused = true)]
async fn an_extension_under_way_is_worth_nothing_after_the_hand_over() {
    use redsync_tests::faulty::{Fault, Operation};
    let nodes: Vec<_> = (0..3).map(|_| crate::Watched::new()).collect();
    let redsync = crate::drowsy(redsync::Redsync::new(nodes.clone()).unwrap());
    for heals in [false, true] {
        let mutex = (redsync.mutex(NAME).with_fencing(true))
            .with_expiry(Duration::from_secs(8))
            .with_set_if_absent_on_extend(heals);
        let old = mutex.lock().await.unwrap();
        let waiter = tokio::spawn(mutex.lock_within(WAIT));
        sleep(ms(1)).await;
        for watched in &nodes {
            let late = Fault::late_request(ms(20)).and_late_reply(ms(200));
            watched.node.once(Operation::Extend, late);
        }
        let mut extension = Box::pin(old.extend());
        assert!(crate::poll_once(&mut extension).await.is_pending());
        drop(extension);
        let until = old.until();
        drop(old);
        let new = waiter.await.unwrap().unwrap();
        let token = new.fencing_token();
        assert_eq!(new.until(), until);
        sleep(ms(100)).await;
        assert_eq!(new.until(), until);
        new.extend().await.unwrap();
        // Released behind it: nothing is left.
        drop(new);
        redsync.drain().await;
        assert!(nodes.iter().all(|watched| watched.node.inner().is_empty()));
        let next = mutex.lock_within(WAIT).await.unwrap();
        assert!(next.fencing_token() > token);
        drop(next);
        redsync.drain().await;
    }
}
