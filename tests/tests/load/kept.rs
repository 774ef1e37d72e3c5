//! Thousands of guards that are kept alive.

use std::time::Duration;

use futures_util::future::try_join_all;
use redsync::{Guard, Redsync};
use tokio::time::sleep;

use crate::{
    busy::{BusyNode, redsync},
    ms,
};

const GUARDS: usize = 2_000;
const EXPIRY: Duration = ms(8_000);
const EXPIRIES: u32 = 3;

async fn kept(redsync: &Redsync) -> Vec<Guard> {
    let lock = async |name: usize| {
        let mutex = redsync.mutex(name.to_string()).with_expiry(EXPIRY);
        mutex.lock().await.map(|mut guard| {
            guard.keep_alive();
            guard
        })
    };
    try_join_all((0..GUARDS).map(lock)).await.unwrap()
}

/// How many extensions each guard was sent to a node for each third of its expiry.
fn extensions_per_third(node: &BusyNode) -> f64 {
    node.extensions() as f64 / (GUARDS as f64 * f64::from(3 * EXPIRIES))
}

#[tokio::test(start_paused = true)]
async fn no_guard_is_lost_while_a_majority_answers_within_its_validity() {
    // One of them comes too late to count.
    let nodes = [ms(3_000), ms(4_000), 2 * EXPIRY].map(BusyNode::late);
    let redsync = redsync(&nodes);
    let guards = kept(&redsync).await;
    sleep(EXPIRIES * EXPIRY).await;
    assert_eq!(guards.iter().filter(|guard| guard.is_lost()).count(), 0);
    // Extensions whose answers are still under way do not multiply.
    for node in &nodes {
        let extensions = extensions_per_third(node);
        assert!(extensions <= 3.0, "{extensions}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_guard_is_extended_no_more_than_once_in_a_third_of_its_expiry() {
    let nodes = [ms(0); 3].map(BusyNode::late);
    let redsync = redsync(&nodes);
    let guards = kept(&redsync).await;
    sleep(EXPIRIES * EXPIRY).await;
    assert_eq!(guards.iter().filter(|guard| guard.is_lost()).count(), 0);
    for node in &nodes {
        let extensions = extensions_per_third(node);
        assert!(extensions <= 1.1, "{extensions}");
    }
}
