//! Which events an operator sees.

use http_body_util::BodyExt;
use redsync::node::MemoryNode;
use redsync_tests::{
    FaultyNode,
    faulty::{Fault, Operation},
};
use redsync_tower::{HoldUntil, RedlockLayer, key::KeyError};
use tokio::time::sleep;
use tracing::Level;

use crate::{capture::Capture, ms, nodes, orders, send, status, taking};

#[track_caller]
fn assert_one(capture: &Capture, level: Level, part: &str) {
    let events = capture.loud();
    assert!(
        matches!(&*events, [(at, message)] if *at == level && message.contains(part)),
        "{part}: {events:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn what_went_wrong_is_a_warning_and_all_else_is_for_debugging() {
    let (capture, _listening) = Capture::listen();
    let nodes = [(); 3].map(|()| FaultyNode::new());
    let all = |operation, fault: Fault| {
        for node in &nodes {
            node.always_on(operation, fault.clone());
        }
    };
    let redsync = redsync::Redsync::new(nodes.clone()).unwrap();
    let lock = orders(&redsync);

    let held = redsync.mutex("order:1").lock().await.unwrap();
    assert_eq!(status(&taking(lock.clone(), ms(0))).await, 409);
    held.release().await.unwrap();
    assert_eq!(status(&taking(lock.clone(), ms(0))).await, 200);
    assert_eq!(capture.loud(), []);

    let impatient = lock.clone().with_keep_alive(false);
    assert_eq!(status(&taking(impatient, ms(9000))).await, 500);
    assert_one(&capture, Level::WARN, "the lock was lost");
    redsync.drain().await;

    all(Operation::Release, Fault::unreachable());
    assert_eq!(status(&taking(lock.clone(), ms(0))).await, 200);
    assert_one(&capture, Level::WARN, "no majority confirmed the release");
    all(Operation::Release, Fault::none());
    redsync.drain().await;

    all(Operation::Acquire, Fault::unreachable());
    assert_eq!(status(&taking(lock.clone(), ms(0))).await, 503);
    assert_eq!(capture.loud(), [], "an outage has no line for each request");
    let open = lock.clone().with_fail_open(true);
    assert_eq!(status(&taking(open, ms(0))).await, 200);
    assert_one(&capture, Level::WARN, "passes without its lock");

    all(Operation::Acquire, Fault::late_reply(ms(100)));
    let short = |mutex: redsync::Mutex| mutex.with_min_validity(ms(7900));
    let short = orders(&redsync.clone().with_defaults(short).unwrap());
    assert_eq!(status(&taking(short, ms(0))).await, 504);
    assert_one(&capture, Level::WARN, "came too late");

    let mistaken = RedlockLayer::new(redsync, |_: &http::Request<_>| {
        Err::<&str, _>(KeyError::Misconfigured("no name".into()))
    });
    assert_eq!(status(&taking(mistaken, ms(0))).await, 500);
    assert!(matches!(&*capture.loud(), [(Level::ERROR, _)]));
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_lost_while_the_body_is_sent_is_a_warning_and_the_body_continues() {
    let (redsync, nodes) = nodes();
    let (capture, _listening) = Capture::listen();
    let lock = orders(&redsync).with_hold_until(HoldUntil::BodyEnd);
    let response = send(&taking(lock, ms(0))).await;
    nodes.iter().for_each(MemoryNode::clear);
    sleep(ms(9000)).await;
    let body = response.into_body().collect().await.unwrap().to_bytes();
    assert_eq!(body, "done");
    assert_one(&capture, Level::WARN, "lost before the body had ended");
}
