//! The servers, each behind a proxy, and what happens to them.

use std::time::Duration;

use redsync_tests::{Proxy, RedisServer, Servers};
use tokio::runtime::Runtime;

use crate::schedule::Fault;

const PASSWORD: &str = "right";

pub(crate) struct Nodes {
    servers: Servers,
    proxies: Vec<Proxy>,
}

impl Nodes {
    pub(crate) fn start(count: usize, runtime: &Runtime) -> Self {
        // What was written before a reply was sent is there after a SIGKILL, even without fsync.
        let args = ["--appendonly", "yes", "--appendfsync", "no"];
        let servers =
            Servers::start_with(count, &[&args[..], &["--requirepass", PASSWORD]].concat());
        let proxies = servers
            .iter()
            .map(|server| runtime.block_on(Proxy::start(server.port())))
            .collect();
        Self { servers, proxies }
    }

    /// For clients: through the proxies.
    pub(crate) fn urls(&self) -> Vec<String> {
        let url = |proxy: &Proxy| format!("redis://:{PASSWORD}@127.0.0.1:{}", proxy.port());
        self.proxies.iter().map(url).collect()
    }

    pub(crate) fn begin(&self, node: usize, fault: Fault) {
        let (server, proxy) = (&self.servers[node], &self.proxies[node]);
        match fault {
            Fault::Killed | Fault::Emptied => server.kill(),
            Fault::Stopped => server.stop(),
            Fault::ScriptFlush => drop(server.command(&["SCRIPT", "FLUSH"])),
            Fault::ClientKill => kill_clients(server),
            Fault::OutOfMemory => configure(server, "maxmemory", "1"),
            Fault::Password => {
                configure(server, "requirepass", "wrong");
                kill_clients(server);
            }
            // A replica of nothing.
            Fault::ReadOnly => drop(server.command(&["REPLICAOF", "127.0.0.1", "1"])),
            Fault::HeldRequests => proxy.hold_requests(),
            Fault::HeldReplies => proxy.hold_replies(),
            Fault::DroppedReplies => proxy.drop_replies(),
            Fault::Blackhole => proxy.blackhole(),
            Fault::Duplicated => {
                proxy.drop_replies();
                proxy.duplicate_requests();
            }
            Fault::Slow(delay) => proxy.delay(delay),
            Fault::Reset => proxy.reset(),
            Fault::Forgotten => proxy.forget(),
            Fault::Refused => proxy.refuse(),
            Fault::ClientKilled => unreachable!("a fault of clients"),
        }
    }

    pub(crate) fn end(&self, node: usize, fault: Fault) {
        let (server, proxy) = (&self.servers[node], &self.proxies[node]);
        match fault {
            Fault::Killed => server.restart(),
            Fault::Emptied => server.restart_empty(),
            Fault::Stopped => server.cont(),
            Fault::OutOfMemory => configure(server, "maxmemory", "0"),
            Fault::Password => configure(server, "requirepass", PASSWORD),
            Fault::ReadOnly => drop(server.command(&["REPLICAOF", "NO", "ONE"])),
            Fault::HeldRequests | Fault::HeldReplies | Fault::Slow(_) | Fault::Refused => {
                proxy.pass();
            }
            // Clients would take later replies for those that were dropped.
            Fault::DroppedReplies | Fault::Blackhole | Fault::Duplicated => {
                proxy.reset();
                proxy.pass();
            }
            Fault::ScriptFlush | Fault::ClientKill | Fault::Reset | Fault::Forgotten => {}
            Fault::ClientKilled => unreachable!("a fault of clients"),
        }
    }

    /// How many connections a server has that has no fault.
    pub(crate) fn connections(&self, node: usize) -> u64 {
        self.servers[node].info("connected_clients")
    }

    /// The keys of locks on a server that has no fault. The counters of fencing tokens stay for a day.
    pub(crate) fn locks(&self) -> Vec<(usize, String)> {
        let keys = self.servers.iter().map(RedisServer::keys).enumerate();
        keys.flat_map(|(node, keys)| keys.into_iter().map(move |key| (node, key)))
            .filter(|(_, key)| !key.ends_with(":fence"))
            .collect()
    }
}

fn configure(server: &RedisServer, name: &str, value: &str) {
    server.command(&["CONFIG", "SET", name, value]);
}

/// Also of those that watch keys.
fn kill_clients(server: &RedisServer) {
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]);
    server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]);
}

/// How long the clients may need to find out that a node is well again.
pub(crate) const RECOVERY: Duration = Duration::from_secs(5);
