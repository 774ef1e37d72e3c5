//! A handler that takes longer than the expiry.

use axum::{Router, routing};
use http::StatusCode;
use redsync::Redsync;
use redsync_tests::Servers;
use redsync_tower::{HeldLock, LockRejectionReason as Reason, RedlockLayer, key};
use tokio::time::sleep;

use crate::support::{Gauge, Nodes, ms, post, refusal, rejection, secs, send};

#[tokio::test(start_paused = true)]
async fn the_lock_is_kept_for_as_long_as_the_handler_works() {
    let nodes = Nodes::new();
    let gauge = Gauge::default();
    let apps = [(); 2].map(|()| {
        let lock = RedlockLayer::new(nodes.expiring(secs(1)), key::path("order:{id}"));
        let gauge = gauge.clone();
        let handler = routing::post(move |lock: HeldLock| async move {
            gauge.work(secs(60)).await;
            assert!(!lock.is_lost());
        });
        Router::new().route("/orders/{id}", handler.route_layer(lock))
    });
    let first = tokio::spawn(send(&apps[0], post("/orders/1")));
    for _ in 0..150 {
        sleep(ms(390)).await;
        let response = send(&apps[1], post("/orders/1")).await;
        let after = refusal(response, StatusCode::CONFLICT, Reason::Taken).await;
        assert_eq!(after, Some(1));
    }
    let response = first.await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert!(rejection(&response).is_none());
    assert_eq!((gauge.most(), gauge.done()), (1, 1));
    assert!(nodes.are_free());
}

#[tokio::test(start_paused = true)]
async fn an_outage_shorter_than_the_expiry_is_survived() {
    let nodes = Nodes::new();
    let lock = RedlockLayer::new(nodes.expiring(secs(6)), key::path("order:{id}"));
    let handler = routing::post(|| sleep(secs(60))).route_layer(lock);
    let app = Router::new().route("/orders/{id}", handler);
    let outages = async {
        for _ in 0..6 {
            sleep(secs(6)).await;
            nodes.take_down(3);
            sleep(secs(3)).await;
            nodes.take_down(0);
        }
    };
    let (response, ()) = tokio::join!(send(&app, post("/orders/1")), outages);
    assert_eq!(response.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lock_is_kept_on_real_servers() {
    let servers = Servers::start(3);
    let redsync = Redsync::connect(servers.urls()).expect("URLs");
    // Long enough for a busy machine, and a third of the time that the work takes.
    let redsync = redsync
        .with_defaults(|mutex| mutex.with_expiry(ms(1500)))
        .expect("options that work");
    let gauge = Gauge::default();
    let lock = RedlockLayer::new(redsync, key::path("order:{id}"));
    let (once, working) = (ms(4500), gauge.clone());
    let handler = routing::post(move || working.clone().work(once)).route_layer(lock);
    let app = Router::new().route("/orders/{id}", handler);

    let mut first = tokio::spawn(send(&app, post("/orders/1")));
    redsync_tests::wait::until_async("it works", secs(20), async || gauge.now() == 1).await;
    let mut refused = 0;
    let response = loop {
        // A second one every 50 ms.
        tokio::select! {
            response = &mut first => break response.expect("no panic"),
            () = sleep(ms(50)) => {}
        }
        let second = send(&app, post("/orders/1")).await;
        if second.status() != StatusCode::CONFLICT {
            // It can only have been too late for the first one.
            assert_eq!(second.status(), StatusCode::OK);
            break first.await.expect("no panic");
        }
        refused += 1;
    };
    assert_eq!(response.status(), StatusCode::OK);
    assert!(rejection(&response).is_none());
    assert_eq!(gauge.most(), 1);
    assert!(refused >= 3, "{refused}");
}
