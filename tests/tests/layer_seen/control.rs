//! Names with control characters in them.

use redsync_tests::{FaultyNode, faulty::Fault};
use redsync_tower::{OnLoss, RedlockLayer};

use crate::{Stage, capture::Capture, ms, status, taking};

const FORGED: &str = "cart\n12:00 ERROR all is lost\u{1b}[2J";

#[tokio::test(start_paused = true)]
async fn a_name_of_a_client_cannot_forge_a_line_of_the_log() {
    let (capture, _listening) = Capture::listen();
    let nodes = [(); 3].map(|()| FaultyNode::new());
    let all = |fault: Fault| nodes.iter().for_each(|node| node.always(fault.clone()));
    let redsync = redsync::Redsync::new(nodes.clone()).unwrap();
    let redsync = redsync.with_defaults(|mutex| mutex.with_expiry(ms(1000)));
    let redsync = redsync.unwrap();
    let lock = RedlockLayer::new(redsync.clone(), |_: &http::Request<_>| FORGED);

    // Held and released, taken, timed out.
    assert_eq!(status(&taking(lock.clone(), ms(5000))).await, 200);
    let held = redsync.mutex(FORGED).lock().await.unwrap();
    assert_eq!(status(&taking(lock.clone(), ms(1))).await, 409);
    assert_eq!(
        status(&taking(lock.clone().with_wait(ms(100)), ms(1))).await,
        423
    );
    held.release().await.unwrap();
    // Lost in two ways.
    let stage = Stage::new();
    let app = stage.app(lock.clone());
    let request = tokio::spawn(async move { status(&app).await });
    stage.has_begun().await;
    all(Fault::unreachable());
    assert_eq!(request.await.unwrap(), 500);
    all(Fault::none());
    nodes.iter().for_each(|node| node.inner().clear());
    let stage = Stage::new();
    let app = stage.app(lock.clone().with_on_loss(OnLoss::Finish));
    let request = tokio::spawn(async move { status(&app).await });
    stage.has_begun().await;
    nodes.iter().for_each(|node| node.inner().clear());
    tokio::time::sleep(ms(5000)).await;
    stage.let_go();
    assert_eq!(request.await.unwrap(), 200);
    // Too few nodes, and a mistake.
    all(Fault::unreachable());
    assert_eq!(status(&taking(lock.clone(), ms(1))).await, 503);
    assert_eq!(status(&taking(lock.with_fail_open(true), ms(1))).await, 200);
    let mistake = |_: &http::Request<_>| {
        let error = redsync_tower::key::KeyError::Misconfigured(FORGED.into());
        Err::<&str, _>(error)
    };
    let mistaken = RedlockLayer::new(redsync, mistake);
    assert_eq!(status(&taking(mistaken, ms(1))).await, 500);

    // Each field is on a line of its own here.
    let seen = capture.all();
    let mut with_the_name = 0;
    for line in seen.lines() {
        assert!(line.contains('='), "{line}");
        assert!(!line.contains(char::is_control), "{line:?}");
        with_the_name += usize::from(line.contains(r"cart\n12:00 ERROR all is lost\u{1b}[2J"));
    }
    assert!(with_the_name >= 15, "{seen}");
}
