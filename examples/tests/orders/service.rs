//! Starting the program.

pub(crate) use redsync_tests::program::SOON;
use redsync_tests::{Servers, Service, wait::until_async};
use tempfile::TempDir;

use crate::client;

/// The `RUST_LOG` of a service whose waiting requests are logged.
pub(crate) const VERBOSE: (&str, &str) = ("RUST_LOG", "info,redsync=debug,redsync_tower=debug");

/// Redis servers and a database, which copies of the program share.
pub(crate) struct World {
    pub(crate) servers: Servers,
    directory: TempDir,
}

impl World {
    pub(crate) fn start() -> Self {
        Self {
            servers: Servers::start(3),
            directory: TempDir::new().expect("a directory"),
        }
    }

    pub(crate) async fn copy(&self, env: &[(&str, &str)]) -> Service {
        let urls = self.servers.urls().join(",");
        let database = self.directory.path().join("orders.sqlite");
        let shared = [
            ("REDIS_URLS", &*urls),
            ("DATABASE", database.to_str().expect("a path")),
        ];
        start(&[&shared[..], env].concat()).await
    }
}

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
