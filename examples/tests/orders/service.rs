//! Starting the program.

use std::time::Duration;

use redsync_tests::{Servers, Service, wait::until_async};

use crate::client;

/// A generous time limit for a condition that has to hold soon.
pub(crate) const SOON: Duration = Duration::from_secs(20);

/// The `RUST_LOG` of a service whose waiting requests are logged.
pub(crate) const VERBOSE: (&str, &str) = ("RUST_LOG", "info,redsync=debug,redsync_tower=debug");

/// Starts a copy of the example, and waits until it is healthy.
pub(crate) async fn start(env: &[(&str, &str)]) -> Service {
    let service = Service::start("orders", env).await;
    let healthz = async || client::get(&service, "/healthz").await.status == 200;
    until_async("it is healthy", SOON, healthz).await;
    service
}

/// Whether no server has a lock. The counters of fencing tokens stay for a day.
pub(crate) fn no_locks(servers: &Servers) -> bool {
    let keys = servers.iter().flat_map(|server| server.keys());
    keys.filter(|key| !key.ends_with(":fence")).count() == 0
}
