//! A worker, which makes matches in one pool after the other.

use std::time::Duration;

use redsync_tower::redsync::{Guard, Redsync};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::pools::{Match, NAMES, Player, Pools};

pub(crate) struct Worker {
    pools: Pools,
    redsync: Redsync,
    every: Duration,
    work: Duration,
}

impl Worker {
    pub(crate) const fn new(pools: Pools, redsync: Redsync) -> Self {
        Self {
            pools,
            redsync,
            every: Duration::ZERO,
            work: Duration::ZERO,
        }
    }

    /// Sets the time after which it looks at the pools again.
    pub(crate) fn with_every(self, every: Duration) -> Self {
        Self { every, ..self }
    }

    /// Sets how long it takes to find the matches of a pool.
    pub(crate) fn with_work(self, work: Duration) -> Self {
        Self { work, ..self }
    }

    /// Works until the shutdown. It finishes the pool that it works on.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            for pool in NAMES {
                self.visit(pool).await;
            }
            shutdown.run_until_cancelled(sleep(self.every)).await;
        }
    }

    /// Makes matches in the pool, unless another worker does.
    async fn visit(&self, pool: &str) {
        let mutex = self.redsync.mutex(format!("pool:{pool}"));
        let guard = match mutex.with_fencing(true).try_lock().await {
            Ok(guard) => guard,
            Err(error) if error.is_contention() => return,
            Err(error) => return tracing::warn!("{pool}: {error}"),
        };
        match self.make_matches(pool, guard).await {
            Ok(Some(0)) => {}
            Ok(Some(made)) => tracing::info!("{pool}: {made} matches"),
            Ok(None) => tracing::warn!("{pool}: the lock was lost, and no matches were made"),
            Err(error) => tracing::error!("{pool}: {error}"),
        }
    }

    /// Makes matches, and returns how many; [`None`] if another worker may have begun.
    async fn make_matches(&self, pool: &str, mut guard: Guard) -> anyhow::Result<Option<usize>> {
        guard.keep_alive();
        let token = guard.fencing_token().expect("the mutex has fencing on");
        let Some(players) = self.pools.begin(pool, token).await? else {
            return Ok(None);
        };
        if players.len() < 2 {
            return Ok(Some(0));
        }
        tracing::debug!("{pool}: {} players wait", players.len());
        let pairs = tokio::select! {
            // First, so that a worker that was paused stops here.
            biased;
            () = guard.lost() => return Ok(None),
            pairs = self.choose(players) => pairs,
        };
        let made = self.pools.finish(pool, token, pairs).await?;
        // The matches are made, even if too few nodes confirm this.
        if let Err(error) = guard.release().await {
            tracing::warn!("{error}");
        }
        Ok(made)
    }

    /// Pairs neighbours in skill. The last of an odd number waits on.
    async fn choose(&self, mut players: Vec<Player>) -> Vec<Match> {
        // Stands for a better idea.
        sleep(self.work).await;
        players.sort_unstable_by_key(|player| player.skill);
        let mut players = players.into_iter().map(|player| player.name);
        let pair = || Some(Match(players.next()?, players.next()?));
        std::iter::from_fn(pair).collect()
    }
}
