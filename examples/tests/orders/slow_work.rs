//! A handler that works for much longer than the expiry.

use std::time::Duration;

use redsync_tests::wait::until_async;
use tokio::time::sleep;

use crate::{
    client::{self, Order, OrderAnswer},
    service::{SOON, World},
};

#[tokio::test]
async fn slow_work_keeps_its_lock() {
    let world = World::start();
    let env = [("EXPIRY_MS", "500"), ("WAIT_MS", "0")];
    let services = [world.copy(&env).await, world.copy(&env).await];
    let mut first = tokio::spawn(client::add(&services[0], "/orders/1", 3000));
    until_async("the first has the lock", SOON, async || {
        world
            .servers()
            .holders("order:1")
            .iter()
            .all(Option::is_some)
    })
    .await;

    let mut refused = 0;
    let first = loop {
        // A competitor every 50 ms.
        tokio::select! {
            first = &mut first => break first,
            () = sleep(Duration::from_millis(50)) => {}
        }
        let competitor = client::add(&services[1], "/orders/1", 1).await;
        if competitor.status == 200 {
            // It was sent before the answer to the first arrived, and handled after the first's write.
            assert_eq!(competitor.order(), Order::new("1", 2, 2));
            break first.await;
        }
        assert_eq!(competitor.status, 409, "{}", competitor.body);
        refused += 1;
    };
    assert_eq!(first.expect("no panic").order(), Order::new("1", 1, 1));
    assert!(refused >= 5, "{refused}");
}
