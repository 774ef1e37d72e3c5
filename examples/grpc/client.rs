//! A client that updates a device.

use anyhow::bail;
use tonic::{Code, Status};

use crate::generated::{UpdateRequest, UpdateResponse, devices_client::DevicesClient};

pub(crate) async fn update(port: u16, device: &str, version: &str) -> anyhow::Result<()> {
    let mut client = DevicesClient::connect(format!("http://127.0.0.1:{port}")).await?;
    let request = UpdateRequest {
        device: device.to_owned(),
        version: version.to_owned(),
    };
    match client
        .update(request)
        .await
        .map(tonic::Response::into_inner)
    {
        Ok(UpdateResponse { fencing_token }) => {
            println!("{device} has {version}, by the update with token {fencing_token}");
            Ok(())
        }
        Err(status) if matches!(status.code(), Code::Aborted | Code::Unavailable) => {
            let after = pushback(&status).unwrap_or("some");
            bail!("{} Try again in {after} ms.", status.message())
        }
        Err(status) => bail!("{status}"),
    }
}

/// After how many milliseconds the service wants the call to be repeated.
fn pushback(status: &Status) -> Option<&str> {
    let pushback = status.metadata().get("grpc-retry-pushback-ms")?;
    pushback.to_str().ok()
}
