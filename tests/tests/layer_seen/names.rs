//! Names with personal data in them.

use redsync::Redsync;
use redsync_tests::{Servers, wait::until_async};
use redsync_tower::RedlockLayer;

use crate::{Stage, capture::Capture, status};

#[tokio::test]
async fn a_hashed_name_is_seen_nowhere() {
    let servers = Servers::start(3);
    let redsync = Redsync::connect(servers.urls())
        .unwrap()
        .with_defaults(|mutex| mutex.with_node_timeout(std::time::Duration::from_secs(5)))
        .unwrap();
    let (capture, _listening) = Capture::listen();
    let lock = RedlockLayer::new(redsync, |_: &http::Request<_>| "ann@example.com")
        .with_prefix("user:")
        .with_hashed_names(true);
    let stage = Stage::new();
    let app = stage.app(lock);
    let first = tokio::spawn({
        let app = app.clone();
        async move { status(&app).await }
    });
    stage.has_begun().await;
    until_async(
        "all have it",
        std::time::Duration::from_secs(20),
        async || servers.iter().all(|server| server.keys().len() == 1),
    )
    .await;
    for server in &servers {
        let keys = server.keys();
        assert!(keys[0].starts_with("user:#sha256:"), "{keys:?}");
        assert_eq!(keys[0].len(), "user:#sha256:".len() + 64);
    }
    // They exclude each other.
    assert_eq!(status(&app).await, 409);
    servers[0].kill();
    servers[1].kill();
    assert_eq!(status(&app).await, 503);
    stage.let_go();
    first.await.unwrap();
    let all = capture.all();
    assert!(
        all.contains("user:#sha256:") && !all.contains("example.com"),
        "{all}"
    );
}
