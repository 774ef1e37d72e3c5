//! The service itself. It has no code for locks.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use redsync_tower::HeldLock;
use tokio::time::sleep;
use tonic::{Request, Response, Status};

use crate::generated::{
    ShowRequest, ShowResponse, UpdateRequest, UpdateResponse, devices_server::Devices,
};

const BLOCKS: u32 = 10;

/// Installs firmware.
#[derive(Clone)]
pub(crate) struct Workshop {
    /// How long an update takes.
    work: Duration,
    /// The version of each device.
    installed: Arc<Mutex<HashMap<String, String>>>,
}

impl Workshop {
    pub(crate) fn new(work: Duration) -> Self {
        Self {
            work,
            installed: Arc::default(),
        }
    }

    fn installed(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.installed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

#[tonic::async_trait]
impl Devices for Workshop {
    async fn update(
        &self,
        request: Request<UpdateRequest>,
    ) -> Result<Response<UpdateResponse>, Status> {
        let lock = request.extensions().get::<HeldLock>();
        let token = lock.and_then(HeldLock::fencing_token);
        let token = token.ok_or_else(|| Status::internal("an update without a lock"))?;
        let UpdateRequest { device, version } = request.into_inner();

        tracing::info!("{device}: installing {version} with token {token}");
        for _ in 0..BLOCKS {
            // Stands for sending a block to the device, with the token.
            sleep(self.work / BLOCKS).await;
        }
        tracing::info!("{device}: installed {version}");
        self.installed().insert(device, version);
        let fencing_token = token.get();
        Ok(Response::new(UpdateResponse { fencing_token }))
    }

    async fn show(&self, request: Request<ShowRequest>) -> Result<Response<ShowResponse>, Status> {
        let version = self.installed().get(&request.get_ref().device).cloned();
        let version = version.unwrap_or_default();
        Ok(Response::new(ShowResponse { version }))
    }
}
