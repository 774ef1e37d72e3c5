//! Every public future of the two libraries, dropped at each of its awaits.
//!
//! A future is polled once and dropped, then twice and dropped, and so on, until it ends by itself.
//! Each time, no node may keep a key for longer than the lock was meant to be kept, no waiter may
//! be stuck, and the next one has to get the lock at once.
//!
//! The tables of this program name the functions that they cover. A new public async function that
//! is in no table makes [`every_public_future_is_in_a_table`] fail.

mod core;
mod dropping;
mod kind;
mod layer;
mod nodes;
mod situation;
mod sources;
mod stores;
mod table;

use std::collections::BTreeSet;

use redsync::Redsync;
use redsync_tests::Servers;

use self::{
    dropping::poll_and_drop,
    kind::Kind,
    situation::{Situation, World},
    stores::{Memory, Stores},
    table::Row,
};

/// Drops the future of a row after one poll, after two, and so on. Returns how often it was
/// dropped.
async fn everywhere(
    row: &Row,
    situation: Situation,
    world: impl AsyncFn() -> (World, Box<dyn Stores>),
) -> usize {
    for polls in 0..2_000 {
        let (world, stores) = world().await;
        let ended = world.drop_once(row, situation, &*stores, polls).await;
        if ended {
            assert!(polls > 0, "{:?} awaits nothing", row.covers);
            return polls;
        }
    }
    panic!("{:?} never ends in {situation:?}", row.covers);
}

fn rows() -> impl Iterator<Item = &'static Row> {
    core::TABLE.iter().chain(core::LOSS).chain(layer::TABLE)
}

#[tokio::test(start_paused = true)]
async fn on_slow_nodes() {
    let mut dropped = 0;
    for row in rows() {
        for kind in Kind::ALL.into_iter().filter(|kind| row.is_for(*kind)) {
            for situation in row.situations() {
                dropped += everywhere(row, situation, async || {
                    let memory = Memory::new();
                    (World::new(memory.redsync(), kind), Box::new(memory) as _)
                })
                .await;
            }
        }
    }
    println!("{dropped} futures were dropped");
}

#[tokio::test]
async fn on_real_servers() {
    let servers = std::sync::Arc::new(Servers::start(3));
    let redsync = stores::woken_only(Redsync::connect(servers.urls()).unwrap());
    let mut dropped = 0;
    for row in core::TABLE.iter().chain(layer::TABLE) {
        for kind in [Kind::One, Kind::Several]
            .into_iter()
            .filter(|kind| row.is_for(*kind))
        {
            // A rival holds the keys for so long that it is left to slow nodes, whose time is
            // virtual.
            for situation in row.situations().filter(|it| *it != Situation::Rival) {
                dropped += everywhere(row, situation, async || {
                    let world = World::new(redsync.clone(), kind);
                    (world, Box::new(std::sync::Arc::clone(&servers)) as _)
                })
                .await;
            }
        }
    }
    println!("{dropped} futures were dropped");
}

#[test]
fn every_public_future_is_in_a_table() {
    let found = sources::public_futures();
    println!("{} public functions return futures: {found:?}", found.len());
    let mut covered: BTreeSet<&str> = rows().flat_map(|row| row.covers).copied().collect();
    covered.extend(nodes::COVERS);
    let missing: Vec<_> = (found.iter())
        .filter(|name| !covered.contains(&***name))
        .collect();
    assert!(missing.is_empty(), "in no table: {missing:?}");
    let gone: Vec<_> = covered
        .iter()
        .filter(|name| !found.contains(**name))
        .collect();
    assert!(
        gone.is_empty(),
        "in a table, and not in the crates: {gone:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_check_can_fail() {
    let sleep = || tokio::time::sleep(std::time::Duration::from_millis(1));
    assert!(poll_and_drop(1000, sleep()).await);
    assert!(!poll_and_drop(1, sleep()).await);
}
