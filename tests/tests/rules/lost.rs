//! Rule 9: the loss of a lock is reported when its validity ends, or earlier if it is known.

use futures_util::FutureExt;
use redsync_tests::faulty::{Fault, Operation};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{NAME, VALIDITY, ms, nodes, redsync};

#[tokio::test(start_paused = true)]
async fn a_loss_is_reported_when_the_validity_ends_and_not_before() {
    let nodes = nodes::<3>();
    let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    let start = Instant::now();
    sleep(VALIDITY - ms(1)).await;
    assert!(!guard.is_lost());
    assert!(guard.lost().now_or_never().is_none());
    guard.lost().await;
    assert!(guard.is_lost());
    assert_eq!(start.elapsed(), VALIDITY);
    guard.lost().await;
    guard.validity().lost().await;
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_reported_in_time_while_an_extension_is_under_way() {
    let nodes = nodes::<3>();
    let mut guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    let start = Instant::now();
    guard.keep_alive();
    for node in &nodes {
        node.always(Fault::lost_reply());
    }
    guard.lost().await;
    assert_eq!(start.elapsed(), VALIDITY);
    assert!(!nodes[0].sent(Operation::Extend).is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_reported_in_time_while_an_extension_by_hand_hangs() {
    let nodes = nodes::<3>();
    let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    let until = guard.until();
    for node in &nodes {
        node.always(Fault::lost_request());
    }
    sleep_until(until - ms(20)).await;
    let lost = async {
        guard.lost().await;
        assert_eq!(Instant::now(), until);
    };
    let (result, ()) = tokio::join!(guard.extend(), lost);
    result.unwrap_err();
}

#[tokio::test(start_paused = true)]
async fn an_extension_postpones_the_loss() {
    let nodes = nodes::<3>();
    let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    let lost = tokio::spawn(guard.lost());
    let lost_elsewhere = tokio::spawn(guard.validity().lost());
    for _ in 0..10 {
        sleep(ms(900)).await;
        guard.extend().await.unwrap();
    }
    assert!(!lost.is_finished() && !lost_elsewhere.is_finished());
    lost.await.unwrap();
    lost_elsewhere.await.unwrap();
    assert_eq!(Instant::now(), guard.until());
}

#[tokio::test(start_paused = true)]
async fn a_loss_is_reported_at_once_when_the_nodes_say_so() {
    let nodes = nodes::<3>();
    let mut guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    let lost = tokio::spawn(guard.validity().lost());
    guard.keep_alive();
    let start = Instant::now();
    for node in &nodes {
        node.inner().clear();
    }
    lost.await.unwrap();
    // At the first extension, after a third of the expiry.
    assert!(start.elapsed() <= ms(335), "{:?}", start.elapsed());
    assert!(guard.is_lost());
}

#[tokio::test(start_paused = true)]
async fn a_verification_that_a_majority_denies_is_a_loss() {
    let nodes = nodes::<3>();
    let guard = redsync(&nodes).mutex(NAME).lock().await.unwrap();
    nodes[0].inner().clear();
    assert!(guard.verify().await.unwrap());
    assert!(!guard.is_lost());
    nodes[1].inner().clear();
    assert!(!guard.verify().await.unwrap());
    assert!(guard.is_lost());
}
