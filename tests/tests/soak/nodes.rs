//! The servers, each behind a proxy, and what happens to them.

use std::{fmt, time::Duration};

use redsync_tests::{Proxy, RedisServer, Servers};
use tokio::runtime::Runtime;

use crate::{EXPIRY, schedule::Fault};

pub(crate) const PASSWORD: &str = "right";

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
            Fault::ClientKilled | Fault::ClientStopped => unreachable!("a fault of clients"),
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
            Fault::ClientKilled | Fault::ClientStopped => unreachable!("a fault of clients"),
        }
    }

    /// How many connections a server has that has no fault.
    pub(crate) fn connections(&self, node: usize) -> u64 {
        self.servers[node].info("connected_clients")
    }

    /// The keys of locks on servers that have no fault. The counters of fencing tokens stay for a day.
    pub(crate) fn locks(&self) -> Vec<Left> {
        let mut locks = Vec::new();
        for (node, server) in self.servers.iter().enumerate() {
            let mut keys = server.keys();
            keys.retain(|key| !key.ends_with(":fence"));
            locks.extend(keys.into_iter().map(|key| Left {
                remaining: server.query(&["PTTL", &key]),
                node,
                key,
            }));
        }
        locks
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

/// A key that is on a node.
pub(crate) struct Left {
    node: usize,
    key: String,
    /// In milliseconds, as `PTTL` has it.
    remaining: i64,
}

impl fmt::Display for Left {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            node,
            key,
            remaining,
        } = self;
        write!(f, "{key} on node {node}, for {remaining} ms")
    }
}

impl Left {
    /// Whether it is the key of a lock with the usual expiry, which ends by itself.
    pub(crate) fn expires_soon(&self) -> bool {
        const GONE: i64 = -2;
        self.remaining == GONE || (0..=EXPIRY.as_millis() as i64).contains(&self.remaining)
    }
}

/// How long the clients may need to find out that a node is well again.
pub(crate) const RECOVERY: Duration = Duration::from_secs(5);
