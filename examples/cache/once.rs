//! Computing a report once for all who want it.

use std::{sync::Arc, time::Duration};

use redsync_tower::redsync::Redsync;
use tokio::{
    sync::Semaphore,
    task::JoinError,
    time::{sleep, timeout},
};

use crate::cache::Cache;

/// All that a request needs to get a report.
#[derive(Clone)]
pub(crate) struct Reports {
    cache: Cache,
    redsync: Redsync,
    /// The right to compute in this process while the nodes of the locks are down.
    alone: Arc<Semaphore>,
    work: Duration,
    wait: Duration,
}

/// Where a report comes from.
pub(crate) enum Origin {
    /// It was in the cache.
    Cached,
    /// Another request stored it while this one waited.
    Waited,
    /// This request has computed it.
    Computed,
}

pub(crate) enum Error {
    /// Others computed for as long as this request could wait.
    Busy,
    /// The computation has panicked.
    Failed(JoinError),
}

impl Reports {
    pub(crate) fn new(cache: Cache, redsync: Redsync) -> Self {
        Self {
            cache,
            redsync,
            alone: Arc::new(Semaphore::new(1)),
            work: Duration::ZERO,
            wait: Duration::ZERO,
        }
    }

    /// Sets how long it takes to compute a report.
    pub(crate) fn with_work(self, work: Duration) -> Self {
        Self { work, ..self }
    }

    /// Sets how long a request waits for another that computes.
    pub(crate) fn with_wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }

    pub(crate) async fn get(&self, id: u32) -> Result<(String, Origin), Error> {
        let key = format!("report:{id}");
        if let Some(report) = self.cache.get(&key).await {
            return Ok((report, Origin::Cached));
        }
        // In an outage, the limit of the attempts ends the wait, and not the deadline.
        let mutex = self.redsync.mutex(&*key).with_outage_attempts(2);
        match mutex.lock_within(self.wait).await {
            Ok(mut guard) => {
                guard.keep_alive();
                // The task that computes ends before the process does.
                guard.delay_drain();
                self.look_and_compute(key, guard).await
            }
            Err(error) if error.is_contention() => Err(Error::Busy),
            Err(error) => {
                tracing::warn!("computing without a lock: {error}");
                let permit = timeout(self.wait, Arc::clone(&self.alone).acquire_owned()).await;
                let permit = permit.map_err(|_| Error::Busy)?;
                let in_flight = self.redsync.drain_guard();
                self.look_and_compute(key, (permit, in_flight)).await
            }
        }
    }

    /// Looks in the cache again and computes if need be, and keeps the lock until the report is stored.
    async fn look_and_compute(
        &self,
        key: String,
        lock: impl Send + 'static,
    ) -> Result<(String, Origin), Error> {
        if let Some(report) = self.cache.get(&key).await {
            return Ok((report, Origin::Waited));
        }
        let (cache, work) = (self.cache.clone(), self.work);
        let task = tokio::spawn(async move {
            let report = compute(&key, work).await;
            cache.set(&key, &report).await;
            // Dropping it releases it. The next one finds the report.
            drop(lock);
            report
        });
        let report = task.await.map_err(Error::Failed)?;
        Ok((report, Origin::Computed))
    }
}

/// Stands for a query over years of data.
async fn compute(key: &str, work: Duration) -> String {
    tracing::info!("computing {key}");
    sleep(work).await;
    tracing::info!("computed {key}");
    format!("all about {key}\n")
}

impl Origin {
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Waited => "waited",
            Self::Computed => "computed",
        }
    }
}
