//! What is to be done.

use std::time::Duration;

use redsync_tower::redsync::FencingToken;
use tokio::time::sleep;

use crate::schedule::Run;

const STEPS: u32 = 10;

/// A job of several steps. If it is dropped, it makes no further step.
pub(crate) struct Job {
    step: Duration,
}

impl Job {
    /// A job whose run takes this long.
    pub(crate) fn new(work: Duration) -> Self {
        Self { step: work / STEPS }
    }

    pub(crate) async fn run(&self, run: Run, token: FencingToken) {
        for step in 1..=STEPS {
            // Stands for a request to a service that refuses a smaller token than the largest it has seen.
            tracing::info!("{run}: step {step} with token {token}");
            sleep(self.step).await;
        }
    }
}
