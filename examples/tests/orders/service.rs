//! Starting the program.

pub(crate) use redsync_tests::program::SOON;
use redsync_tests::{Copies, Servers, Service, wait::until_async};

use crate::client;

/// The `RUST_LOG` of a service whose waiting requests are logged.
pub(crate) const VERBOSE: (&str, &str) = ("RUST_LOG", "info,redsync=debug,redsync_tower=debug");

/// Copies of the example.
pub(crate) struct World(Copies);

impl World {
    pub(crate) fn start() -> Self {
        Self(Copies::of("orders"))
    }

    /// Starts a copy, and waits until it is healthy.
    pub(crate) async fn copy(&self, env: &[(&str, &str)]) -> Service {
        healthy(self.0.start(env).await).await
    }

    /// Pauses a copy while it does not write to the database.
    pub(crate) fn pause(&self, copy: &Service) {
        self.0.pause(copy);
    }

    pub(crate) const fn servers(&self) -> &Servers {
        &self.0.servers
    }
}

/// Starts the example alone, and waits until it is healthy.
pub(crate) async fn start(env: &[(&str, &str)]) -> Service {
    healthy(Service::start("orders", env).await).await
}

async fn healthy(service: Service) -> Service {
    let healthz = async || client::get(&service, "/healthz").await.status == 200;
    until_async("it is healthy", SOON, healthz).await;
    service
}

/// Whether no server has a lock. The counters of fencing tokens stay for a day.
pub(crate) fn no_locks(servers: &Servers) -> bool {
    let keys = servers.iter().flat_map(|server| server.keys());
    keys.filter(|key| !key.ends_with(":fence")).count() == 0
}
