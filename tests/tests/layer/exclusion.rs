//! One at a time for a key, side by side for different keys.

use axum::{Router, routing};
use futures_util::future::join_all;
use http::StatusCode;
use redsync::Redsync;
use redsync_tests::Servers;
use redsync_tower::{RedlockLayer, key};

use crate::support::{Gauge, Nodes, ms, post, secs, send};

fn app(redsync: Redsync, gauge: &Gauge, work: std::time::Duration) -> Router {
    let lock = RedlockLayer::new(redsync, key::path("order:{id}")).with_wait(secs(60));
    let gauge = gauge.clone();
    let handler = routing::post(move || gauge.clone().work(work));
    Router::new().route("/orders/{id}", handler.route_layer(lock))
}

#[tokio::test(start_paused = true)]
async fn one_key_runs_one_at_a_time_in_two_services() {
    let (nodes, gauge) = (Nodes::new(), Gauge::default());
    let apps = [
        app(nodes.redsync(), &gauge, ms(20)),
        app(nodes.redsync(), &gauge, ms(20)),
    ];
    let requests = (0..40).map(|n| send(&apps[n % 2], post("/orders/1")));
    for response in join_all(requests).await {
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!((gauge.most(), gauge.done()), (1, 40));
    assert!(nodes.are_free());
}

#[tokio::test(start_paused = true)]
async fn different_keys_run_side_by_side() {
    let (nodes, gauge) = (Nodes::new(), Gauge::default());
    let apps = [
        app(nodes.redsync(), &gauge, ms(20)),
        app(nodes.redsync(), &gauge, ms(20)),
    ];
    let requests = (0..40).map(|n| send(&apps[n % 2], post(&format!("/orders/{n}"))));
    for response in join_all(requests).await {
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!((gauge.most(), gauge.done()), (40, 40));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_key_runs_one_at_a_time_over_three_servers() {
    let servers = Servers::start(3);
    let (one, many) = (Gauge::default(), Gauge::default());
    let apps = [(); 2].map(|()| {
        let redsync = Redsync::connect(servers.urls()).expect("URLs");
        let redsync = redsync.with_defaults(|mutex| {
            mutex
                .with_node_timeout(secs(5))
                .with_retry_delay_range(ms(1)..ms(30))
        });
        let redsync = redsync.expect("options that work");
        let routes = [
            ("/one", app(redsync.clone(), &one, ms(2))),
            ("/many", app(redsync, &many, ms(200))),
        ];
        (routes.into_iter()).fold(Router::new(), |all, (path, app)| all.nest(path, app))
    });
    let requests = (0..60).map(|n| {
        let uri = match n % 3 {
            0 => format!("/many/orders/{}", 2 + n),
            _ => "/one/orders/1".to_owned(),
        };
        tokio::spawn(send(&apps[n % 2], post(&uri)))
    });
    for response in join_all(requests).await {
        assert_eq!(response.expect("no panic").status(), StatusCode::OK);
    }
    assert_eq!((one.most(), one.done()), (1, 40));
    assert!(many.most() > 1, "none met another");
    assert_eq!(many.done(), 20);
    drop(apps);
    // The release of the last node of three may be under way still.
    redsync_tests::wait::until_async("no keys", secs(20), async || {
        servers.iter().all(|server| server.keys().is_empty())
    })
    .await;
}
