//! The event that says who holds a lock for which a request was refused.

use std::convert::Infallible;

use redsync::Redsync;
use redsync_tests::{
    FaultyNode,
    faulty::{Fault, Operation},
};
use tokio::time::sleep;
use tracing::Level;

use crate::{capture::Capture, ms, nodes, orders, status, taking};

#[tokio::test(start_paused = true)]
async fn a_refusal_says_who_holds_the_lock_only_if_that_is_asked_for() {
    let (capture, _listening) = Capture::listen();
    let nodes = [(); 3].map(|()| FaultyNode::new());
    let redsync = Redsync::new(nodes.clone()).unwrap();
    let holder = redsync.mutex("order:1");
    let holder = holder.with_owner_label(|| Ok::<_, Infallible>("web-7\n".to_owned()));
    let held = holder.lock().await.unwrap();
    let questions = || nodes[0].sent(Operation::Inspect).len();

    assert_eq!(status(&taking(orders(&redsync), ms(0))).await, 409);
    sleep(ms(10)).await;
    assert_eq!(questions(), 0, "it costs nothing by default");
    assert_eq!(capture.loud(), []);

    let lock = orders(&redsync).with_logged_holders(true);
    let patient = lock.clone().with_wait(ms(100));
    for (lock, refused) in [(lock.clone(), 409), (patient, 423)] {
        assert_eq!(status(&taking(lock, ms(0))).await, refused);
        sleep(ms(10)).await;
        // Once for each holder, whom three nodes report.
        let events = capture.loud();
        assert!(matches!(&*events, [(Level::INFO, _)]), "{events:?}");
    }
    assert_eq!(questions(), 2);
    let all = capture.all();
    let fingerprint = held.expose_value().fingerprint();
    for field in [
        "name=order:1\n".to_owned(),
        "holder=web-7\\n\n".to_owned(),
        format!("fingerprint={fingerprint}\n"),
    ] {
        assert!(all.contains(&field), "{field}: {all}");
    }
    assert!(!all.contains(held.expose_value().as_str()), "{all}");

    held.release().await.unwrap();
    assert_eq!(status(&taking(lock, ms(0))).await, 200);
    sleep(ms(10)).await;
    assert_eq!(questions(), 2);
    assert_eq!(capture.loud(), []);
}

#[tokio::test(start_paused = true)]
async fn many_refusals_at_once_ask_the_nodes_once() {
    let (capture, _listening) = Capture::listen();
    let nodes = [(); 3].map(|()| FaultyNode::new());
    let redsync = Redsync::new(nodes.clone()).unwrap();
    let _held = redsync.mutex("order:1").lock().await.unwrap();
    let questions = || nodes[0].sent(Operation::Inspect).len();
    for node in &nodes {
        node.always_on(Operation::Inspect, Fault::late_reply(ms(20)));
    }

    let app = taking(orders(&redsync).with_logged_holders(true), ms(0));
    for expected in [1, 2] {
        for _ in 0..100 {
            assert_eq!(status(&app).await, 409);
        }
        sleep(ms(50)).await;
        assert_eq!(questions(), expected);
        assert_eq!(capture.loud().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn of_many_shared_holders_the_first_are_logged_and_the_others_are_counted() {
    let (capture, _listening) = Capture::listen();
    let (redsync, _) = nodes();
    let readers = redsync.mutex("order:1").shared();
    let mut held = Vec::new();
    for count in [8, 100] {
        while held.len() < count {
            held.push(readers.lock().await.unwrap());
        }
        let lock = orders(&redsync).with_logged_holders(true);
        assert_eq!(status(&taking(lock, ms(0))).await, 409);
        sleep(ms(10)).await;
        // Eight holders, and one event for the others.
        assert_eq!(capture.loud().len(), count.min(9));
    }
    let all = capture.all();
    assert!(all.contains("others=92\n"), "{all}");
}
