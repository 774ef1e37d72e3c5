//! Owner values are seen nowhere: in no event or span of any target at any level, in no error,
//! `Debug` output, header, body, trailer or metric, and in no part or encoding of these.
//!
//! It is one test with everything in it, because the log of a process is one.

mod grpc;
mod layer;
mod locks;
mod log;
mod monitor;
mod needles;

use std::{convert::Infallible, time::Duration};

use log::Log;
use monitor::Monitors;
use needles::Needles;
use redsync::{
    Redsync,
    node::redis::{Fred, RedisNode},
};
use redsync_tests::{Servers, wait::until_async};

/// Longer than all that has to happen at once, on a busy machine.
const SOON: Duration = Duration::from_secs(30);

/// The label with which all owner values begin. A `#` follows it.
const LABEL: &str = "pod-7";

/// A client that is patient with a busy machine.
fn patient(redsync: Redsync) -> Redsync {
    redsync
        .with_defaults(|mutex| {
            mutex
                .with_node_timeout(Duration::from_secs(3))
                .with_owner_label(|| Ok::<_, Infallible>(LABEL.to_owned()))
        })
        .expect("a configuration that works")
}

async fn fred(url: &str) -> RedisNode<Fred> {
    use fred::prelude::{Builder, ClientLike, Config};

    let config = Config::from_url(url).expect("a URL");
    let client = Builder::from_config(config).build().expect("a client");
    client.init().await.expect("a connection");
    RedisNode::new(Fred::new(url.to_owned(), client))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn owner_values_are_seen_nowhere() {
    let log = Log::listen();
    let servers = Servers::start(3);
    let monitors = Monitors::watch(&servers);

    let redsync = patient(Redsync::connect(servers.urls()).unwrap());
    locks::live(&redsync, &servers, &log).await;
    layer::live(&redsync, &servers, &log).await;
    grpc::live(&redsync, &servers, &log).await;
    let mut nodes = Vec::new();
    for server in &servers {
        nodes.push(fred(&server.url()).await);
    }
    let through_fred = patient(Redsync::new(nodes).unwrap());
    locks::live(&through_fred, &servers, &log).await;

    // In the words with which a server answers that does not know a command.
    let renamed = Servers::start_with(
        3,
        &[
            "--rename-command",
            "EVALSHA",
            "",
            "--rename-command",
            "EVAL",
            "",
        ],
    );
    let without_scripts = patient(Redsync::connect(renamed.urls()).unwrap());
    locks::without_scripts(&without_scripts, &log).await;

    for server in &servers {
        server.kill();
    }
    locks::in_an_outage(&redsync, &log).await;
    layer::in_an_outage(&redsync, &log).await;
    grpc::in_an_outage(&redsync, &log).await;

    let mut values = monitors.values();
    let text = log.text();
    println!(
        "{} owner values; a log of {} kB",
        values.len(),
        text.len() / 1024
    );
    assert!(values.len() > 50, "{}", values.len());
    values.insert(locks::RESUMED.to_owned());
    // It has heard the crates, and the clients below them.
    for target in ["redsync::", "redsync_tower::", "fred::", "h2::"] {
        assert!(text.contains(target), "nothing of {target}");
    }
    let found = Needles::of(&values).find(&text);
    assert!(found.is_empty(), "{}", found.join("\n"));
    // Also of a value that no server has stored, because it did not know the command.
    let labelled = format!("{LABEL}#");
    let labelled = text.lines().find(|line| line.contains(&labelled));
    assert_eq!(labelled, None);
}

/// Waits until all locks are released, so that what comes next begins with free names.
async fn until_quiet(servers: &Servers) {
    until_async("background releases are done", SOON, async || {
        let keys = servers.iter().flat_map(|server| server.keys());
        keys.into_iter().all(|key| key.ends_with(":fence"))
    })
    .await;
}
