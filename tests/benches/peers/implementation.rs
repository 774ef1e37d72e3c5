//! The implementations that are compared: each as its documentation recommends, with the same
//! expiry.

use std::{sync::Arc, time::Duration};

use fred::prelude::{Builder, ClientLike, Config, ReconnectPolicy};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redsync::{
    Guard, Redsync, Released,
    node::redis::{Fred, Multiplexed, RedisNode},
};
use rslock::{LockGuard, LockManager};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Outcome,
    floors::tokio::{self as floor, Floor},
};

pub(crate) const EXPIRY: Duration = Duration::from_secs(10);

/// Longer than any measurement.
const PATIENCE: Duration = Duration::from_secs(600);

/// How many locks each client acquires before it is measured, so that connections exist and scripts
/// are loaded.
pub(crate) const WARM_UP: u64 = 16;

/// A client of the same servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Implementation {
    #[serde(rename = "redsync/deadpool")]
    Deadpool,
    #[serde(rename = "redsync/redis")]
    Redis,
    #[serde(rename = "redsync/fred")]
    Fred,
    #[serde(rename = "rslock")]
    Rslock,
    /// The floor in tokio.
    #[serde(rename = "floor")]
    Floor,
    #[serde(rename = "floor-blocking")]
    FloorBlocking,
    /// No lock at all, to compare the layer with.
    #[serde(rename = "none")]
    None,
}

impl Implementation {
    pub(crate) const ALL: [Self; 6] = [
        Self::Deadpool,
        Self::Redis,
        Self::Fred,
        Self::Rslock,
        Self::Floor,
        Self::FloorBlocking,
    ];

    /// The implementations that have a [`Client`].
    pub(crate) const ASYNC: [Self; 5] = [
        Self::Deadpool,
        Self::Redis,
        Self::Fred,
        Self::Rslock,
        Self::Floor,
    ];

    /// The name on the command line.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Deadpool => "redsync/deadpool",
            Self::Redis => "redsync/redis",
            Self::Fred => "redsync/fred",
            Self::Rslock => "rslock",
            Self::Floor => "floor",
            Self::FloorBlocking => "floor-blocking",
            Self::None => "none",
        }
    }

    /// The name in the table.
    pub(crate) const fn title(self) -> &'static str {
        match self {
            Self::Floor => "floor, tokio",
            Self::FloorBlocking => "floor, blocking",
            _ => self.name(),
        }
    }
}

/// A client that is connected.
pub(crate) enum Client {
    Redsync(Redsync),
    Rslock(LockManager),
    Floor(Floor),
}

/// A lock that is held.
pub(crate) enum Held<'a> {
    Redsync(Guard),
    Rslock(LockGuard),
    Floor(&'a Floor, floor::Held),
}

impl Client {
    /// Connects, and warms up.
    pub(crate) async fn connect(
        implementation: Implementation,
        addresses: &[String],
    ) -> Outcome<Arc<Self>> {
        let urls = || addresses.iter().map(|address| format!("redis://{address}"));
        let client = match implementation {
            Implementation::Deadpool => Self::redsync(Redsync::connect(urls())?)?,
            Implementation::Redis => {
                let nodes: Outcome<Vec<_>> = addresses.iter().map(|it| through_redis(it)).collect();
                Self::redsync(Redsync::new(nodes?)?)?
            }
            Implementation::Fred => {
                let mut nodes = Vec::new();
                for address in addresses {
                    nodes.push(through_fred(address).await?);
                }
                Self::redsync(Redsync::new(nodes)?)?
            }
            Implementation::Rslock => Self::Rslock(LockManager::new(urls().collect())),
            Implementation::Floor => Self::Floor(Floor::connect(addresses, EXPIRY).await?),
            Implementation::FloorBlocking | Implementation::None => {
                return Err(format!("{} is not an async client", implementation.name()).into());
            }
        };
        for number in 0..WARM_UP {
            let name = format!("warm-up:{:x}:{number}", fastrand::u64(..));
            client.lock(&name).await?.release().await?;
        }
        Ok(Arc::new(client))
    }

    fn redsync(redsync: Redsync) -> Outcome<Self> {
        let redsync = redsync.with_defaults(|mutex| mutex.with_expiry(EXPIRY))?;
        Ok(Self::Redsync(redsync))
    }

    /// Locks a name without contention.
    pub(crate) async fn lock(&self, name: &str) -> Outcome<Held<'_>> {
        Ok(match self {
            Self::Redsync(redsync) => Held::Redsync(redsync.mutex(name).lock().await?),
            Self::Rslock(manager) => {
                let lock = manager.lock(name, EXPIRY).await?;
                Held::Rslock(LockGuard { lock })
            }
            Self::Floor(floor) => match floor.try_lock(name).await {
                Some(held) => Held::Floor(floor, held),
                None => return Err("the floor found no quorum".into()),
            },
        })
    }

    /// Locks a contended name, however long that takes.
    pub(crate) async fn wait(&self, name: &str) -> Outcome<Held<'_>> {
        Ok(match self {
            Self::Redsync(redsync) => {
                Held::Redsync(redsync.mutex(name).lock_within(PATIENCE).await?)
            }
            Self::Rslock(manager) => Held::Rslock(manager.acquire(name, EXPIRY).await?),
            Self::Floor(floor) => Held::Floor(floor, floor.wait(name).await),
        })
    }
}

impl Held<'_> {
    pub(crate) async fn release(self) -> Outcome<()> {
        let released = match self {
            Self::Redsync(guard) => guard.release().await? == Released::Held,
            Self::Rslock(guard) => {
                guard.release().await;
                true
            }
            Self::Floor(floor, held) => floor.release(held).await,
        };
        released
            .then_some(())
            .ok_or_else(|| Error::from("a lock was lost"))
    }
}

fn through_redis(address: &str) -> Outcome<RedisNode<Multiplexed<ConnectionManager>>> {
    let config = ConnectionManagerConfig::new()
        .set_number_of_retries(0)
        .set_response_timeout(None);
    let client = redis::Client::open(format!("redis://{address}"))?;
    let manager = ConnectionManager::new_lazy_with_config(client, config)?;
    let node = RedisNode::new(Multiplexed::new(address, manager));
    Ok(node.with_wake_ups(&format!("redis://{address}"))?)
}

async fn through_fred(address: &str) -> Outcome<RedisNode<Fred>> {
    let config = Config::from_url(&format!("redis://{address}"))?;
    let client = Builder::from_config(config)
        .set_policy(ReconnectPolicy::new_exponential(0, 100, 5_000, 2))
        .build()?;
    client.init().await?;
    let node = RedisNode::new(Fred::new(address, client));
    Ok(node.with_wake_ups(&format!("redis://{address}"))?)
}
