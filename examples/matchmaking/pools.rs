//! The pools: shared state in Redis.

use std::sync::LazyLock;

use anyhow::Context;
use deadpool_redis::{
    Config, Connection, Pool as Connections, Runtime,
    redis::{AsyncCommands, Script},
};
use redsync_tower::redsync::FencingToken;
use serde::{Deserialize, Serialize};

/// Players wait in one of these. A pool that clients could make up would have to be cleaned up.
pub(crate) const NAMES: &[&str] = &["duel", "race", "siege"];

static BEGIN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("begin.lua")));
static FINISH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("finish.lua")));

#[derive(Clone)]
pub(crate) struct Pools(Connections);

#[derive(Deserialize)]
pub(crate) struct Player {
    pub(crate) name: String,
    pub(crate) skill: u32,
}

/// The names of two players.
#[derive(Serialize)]
pub(crate) struct Match(pub(crate) String, pub(crate) String);

impl Pools {
    pub(crate) fn connect(url: String) -> anyhow::Result<Self> {
        let connections = Config::from_url(url).create_pool(Some(Runtime::Tokio1));
        Ok(Self(connections.context("STATE_URL")?))
    }

    pub(crate) async fn join(&self, pool: &str, player: Player) -> anyhow::Result<()> {
        let Player { name, skill } = player;
        let mut redis = self.redis().await?;
        Ok(redis.hset(waiting(pool), name, skill).await?)
    }

    pub(crate) async fn matches(&self, pool: &str) -> anyhow::Result<Vec<Match>> {
        let mut redis = self.redis().await?;
        let matches: Vec<String> = redis.lrange(matches(pool), 0, -1).await?;
        let pairs = matches.iter().filter_map(|pair| pair.split_once(' '));
        Ok(pairs
            .map(|(one, other)| Match(one.into(), other.into()))
            .collect())
    }

    /// Notes the token, and returns the waiting players. From now on, no earlier worker can make matches.
    /// Returns [`None`] if a later one has begun.
    pub(crate) async fn begin(
        &self,
        pool: &str,
        token: FencingToken,
    ) -> anyhow::Result<Option<Vec<Player>>> {
        let mut begin = BEGIN.key(latest(pool));
        begin.key(waiting(pool)).arg(token.get());
        let players: Option<Vec<(String, u32)>> =
            begin.invoke_async(&mut self.redis().await?).await?;
        let player = |(name, skill)| Player { name, skill };
        Ok(players.map(|players| players.into_iter().map(player).collect()))
    }

    /// Makes matches, and returns how many. Returns [`None`], and makes none, if a
    /// later worker has begun.
    pub(crate) async fn finish(
        &self,
        pool: &str,
        token: FencingToken,
        pairs: Vec<Match>,
    ) -> anyhow::Result<Option<usize>> {
        let mut finish = FINISH.key(latest(pool));
        finish
            .key(waiting(pool))
            .key(matches(pool))
            .arg(token.get());
        for Match(one, other) in pairs {
            finish.arg(one).arg(other);
        }
        Ok(finish.invoke_async(&mut self.redis().await?).await?)
    }

    async fn redis(&self) -> anyhow::Result<Connection> {
        Ok(self.0.get().await?)
    }
}

// The braces keep the keys of a pool together in a Redis Cluster.

fn waiting(pool: &str) -> String {
    format!("{{{pool}}}:waiting")
}

fn matches(pool: &str) -> String {
    format!("{{{pool}}}:matches")
}

/// The token of the last worker that has begun.
fn latest(pool: &str) -> String {
    format!("{{{pool}}}:token")
}
