//! Running the job on one instance.

use redsync_tower::redsync::{Guard, Mutex, Released};

use crate::{job::Job, schedule::Run};

pub(crate) struct Leader {
    mutex: Mutex,
    job: Job,
}

impl Leader {
    pub(crate) const fn new(mutex: Mutex, job: Job) -> Self {
        Self { mutex, job }
    }

    /// Runs the job if no other instance does, and for as long as this one has the lock.
    pub(crate) async fn lead(&self, run: Run) {
        match self.mutex.try_lock().await {
            Ok(guard) => self.work(run, guard).await,
            Err(error) if error.is_contention() => {
                tracing::info!("{run}: another instance runs it")
            }
            Err(error) => tracing::error!("{run}: not run here: {error}"),
        }
    }

    async fn work(&self, run: Run, mut guard: Guard) {
        guard.keep_alive();
        let token = guard.fencing_token().expect("the mutex has fencing on");
        tracing::info!("{run}: begins");
        tokio::select! {
            // First, so that an instance that was paused makes no further step.
            biased;
            () = guard.lost() => {
                // redsync has warned, and said why.
                tracing::info!("{run}: stopped, because its lock is lost");
                return;
            }
            () = self.job.run(run, token) => tracing::info!("{run}: done"),
        }
        match guard.release().await {
            // The minimum hold goes on, on the nodes.
            Ok(Released::Held) => {}
            Ok(Released::AlreadyLost) => tracing::warn!("{run}: its lock was lost before its end"),
            Err(error) => tracing::warn!("{run}: {error}"),
        }
    }
}
