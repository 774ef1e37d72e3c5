//! Responses without a body, whatever body the handler returned, with a lock held until the body's
//! end.

use std::net::SocketAddr;

use axum::{Router, routing};
use http::StatusCode;
use redsync_tower::HoldUntil;
use tokio::io::AsyncWriteExt;

use crate::support::{Http2, Stage, World, head, raw, serve, unending};

/// GET has a body without an end, and so does POST, with a status that has none.
async fn start(world: &World, stage: &Stage) -> SocketAddr {
    let [stream, no_content, empty] = [(); 3].map(|()| stage.clone());
    let handler = routing::get(async move || unending(&stream))
        .post(async move || (StatusCode::NO_CONTENT, unending(&no_content)))
        .delete(async move || {
            let _on_stage = empty.step_on();
            StatusCode::NO_CONTENT
        });
    let lock = world.layer().with_hold_until(HoldUntil::BodyEnd);
    serve(Router::new().route("/{id}", handler.route_layer(lock))).await
}

#[tokio::test]
async fn a_response_without_a_body_ends_the_lock_over_http_1() {
    let (world, stage) = (World::new(), Stage::new());
    let address = start(&world, &stage).await;
    for (method, status) in [("HEAD", "200"), ("POST", "204"), ("DELETE", "204")] {
        let request = format!("{method} /1 HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut client = raw(address, &request).await;
        let answer = head(&mut client).await;
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status}")),
            "{method}: {answer}"
        );
        // The connection stays.
        world.until_free("1").await;
        assert_eq!(stage.now(), 0, "{method}");
        client.write_all(request.as_bytes()).await.unwrap();
        let again = head(&mut client).await;
        assert!(again.starts_with(&format!("HTTP/1.1 {status}")), "{again}");
        world.until_free("1").await;
    }
    world.ends_empty().await;
}

#[tokio::test]
async fn a_response_without_a_body_ends_the_lock_over_http_2() {
    let (world, stage) = (World::new(), Stage::new());
    let client = Http2::connect(start(&world, &stage).await).await;
    for (method, status) in [("HEAD", 200), ("DELETE", 204)] {
        for _ in 0..2 {
            let response = client.head(method, "/1").await;
            assert_eq!(response.status(), status, "{method}");
            world.until_free("1").await;
            assert_eq!(stage.now(), 0, "{method}");
        }
    }
    world.ends_empty().await;
}

#[tokio::test]
async fn a_get_holds_its_lock_where_a_head_does_not() {
    let (world, stage) = (World::new(), Stage::new());
    let address = start(&world, &stage).await;
    let mut client = raw(address, "GET /1 HTTP/1.1\r\nhost: x\r\n\r\n").await;
    head(&mut client).await;
    stage.has(1).await;
    assert!(!world.is_free("1").await);
    drop(client);
    world.until_free("1").await;
    world.ends_empty().await;
}
