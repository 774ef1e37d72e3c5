//! Several copies of the program, and many requests with one key.

use std::sync::Arc;

use redsync_tests::{http::Answer, wait::until_async};
use tokio::task::JoinSet;

use crate::client::{Replayed as _, SOON, World, charge, charges};

#[tokio::test]
async fn forty_requests_with_one_key_at_two_copies_are_one_charge() {
    let world = World::start();
    let copies = Arc::new([world.copy().await, world.copy().await]);
    let mut requests = JoinSet::new();
    for number in 0..40 {
        let copies = Arc::clone(&copies);
        // As clients do, each repeats its request while the first is in flight.
        requests.spawn(async move {
            let mut conflicts = 0;
            loop {
                let answer = charge(&copies[number % 2], "k", 100, 200).await;
                if answer.status != 409 {
                    return (conflicts, answer);
                }
                conflicts += 1;
            }
        });
    }
    let answers: Vec<(usize, Answer)> = requests.join_all().await;
    let first = &answers[0].1;
    assert!(answers.iter().any(|(conflicts, _)| *conflicts > 0));
    for (_, answer) in &answers {
        assert_eq!((answer.status, &answer.body), (201, &first.body));
    }
    let new = answers.iter().filter(|(_, answer)| !answer.is_replayed());
    assert_eq!(new.count(), 1);
    assert_eq!(charges(&copies[1], "alice").await, 1);
}

#[tokio::test]
async fn a_duplicate_in_flight_is_refused_by_another_copy() {
    let world = World::start();
    let copies = [world.copy().await, world.copy().await];
    let first = charge(&copies[0], "k", 100, 1000);
    let second = async {
        until_async("it is worked on", SOON, async || world.is_locked("k")).await;
        charge(&copies[1], "k", 100, 0).await
    };
    let (first, second) = tokio::join!(first, second);
    assert_eq!((first.status, second.status), (201, 409));
    assert!(second.headers.contains_key("retry-after"));
    let third = charge(&copies[1], "k", 100, 0).await;
    assert_eq!((third.status, third.is_replayed()), (201, true));
    assert_eq!(third.body, first.body);
}

#[tokio::test]
async fn a_copy_that_was_paused_until_another_took_over_writes_nothing() {
    let world = World::start();
    let copies = [world.copy().await, world.copy().await];
    let late = charge(&copies[0], "k", 100, 3000);
    let later = async {
        until_async("it is worked on", SOON, async || world.token().is_some()).await;
        let token = world.token();
        world.pause(&copies[0]);
        until_async("its lock expires", SOON, async || world.is_free("k")).await;
        let second = charge(&copies[1], "k", 100, 3000);
        let resume = async {
            until_async("another begins", SOON, async || world.token() != token).await;
            copies[0].resume();
        };
        tokio::join!(second, resume).0
    };
    let (late, later) = tokio::join!(late, later);
    assert_ne!(late.status, 201, "{late:?}");
    assert_eq!((later.status, later.is_replayed()), (201, false));
    assert_eq!(charges(&copies[1], "alice").await, 1);
}
