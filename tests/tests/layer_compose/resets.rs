//! Clients of HTTP/2 that reset their streams, or go away.

use axum::{Router, routing};
use h2::Reason;
use redsync_tests::wait::until_async;

use crate::support::{Http2, LONG, SOON, Stage, World, serve};

async fn start(world: &World, stage: &Stage) -> Http2 {
    let lock = world.layer().with_wait(LONG);
    let stage = stage.clone();
    let handler = routing::post(async move || stage.play().await);
    let app = Router::new().route("/{id}", handler.route_layer(lock));
    Http2::connect(serve(app).await).await
}

#[tokio::test]
async fn a_reset_while_the_handler_works_frees_the_lock_and_disturbs_no_other() {
    let (world, stage) = (World::new(), Stage::new());
    let client = start(&world, &stage).await;
    let (other, _) = client.send("POST", "/2").await;
    let (_response, mut stream) = client.send("POST", "/1").await;
    stage.has(2).await;
    assert!(!world.is_free("1").await);

    stream.send_reset(Reason::CANCEL);
    world.until_free("1").await;
    assert_eq!(stage.now(), 1);
    assert!(!world.is_free("2").await);
    stage.let_go(1);
    assert_eq!(other.await.unwrap().status(), 200);
    world.ends_empty().await;
}

#[tokio::test]
async fn a_reset_while_a_request_waits_leaves_nothing() {
    let (world, stage) = (World::new(), Stage::new());
    let guard = world.lock("1").await;
    let client = start(&world, &stage).await;
    let (_response, mut stream) = client.send("POST", "/1").await;
    world.until_tried_again().await;

    stream.send_reset(Reason::CANCEL);
    // It is over once nobody delays this.
    let drained = tokio::time::timeout(SOON, world.redsync.drain()).await;
    drained.expect("the request is over");
    guard.release().await.unwrap();
    world.until_free("1").await;
    assert_eq!(stage.begun(), 0);
    world.ends_empty().await;
}

#[tokio::test]
async fn the_next_waiter_acquires_the_lock_after_a_reset() {
    let (world, stage) = (World::new(), Stage::new());
    let client = start(&world, &stage).await;
    let (_response, mut stream) = client.send("POST", "/1").await;
    stage.has(1).await;
    let (second, _) = client.send("POST", "/1").await;
    world.until_tried_again().await;
    assert_eq!(stage.begun(), 1);

    stream.send_reset(Reason::CANCEL);
    until_async("the second works", SOON, async || {
        stage.begun() == 2 && stage.now() == 1
    })
    .await;
    stage.let_go(1);
    assert_eq!(second.await.unwrap().status(), 200);
    assert_eq!(stage.most(), 1);
    world.ends_empty().await;
}

#[tokio::test]
async fn a_connection_that_ends_frees_the_locks_of_all_its_streams() {
    let (world, stage) = (World::new(), Stage::new());
    let client = start(&world, &stage).await;
    let mut streams = Vec::new();
    for path in ["/1", "/2", "/3", "/1"] {
        streams.push(client.send("POST", path).await);
    }
    stage.has(3).await;
    drop(client);
    for name in ["1", "2", "3"] {
        world.until_free(name).await;
    }
    assert_eq!(stage.now(), 0);
    world.ends_empty().await;
}
