//! A gRPC service, made with tonic, that installs firmware on devices. However many instances run, a device
//! gets one update at a time. Two at once would ruin it.
//!
//! Start the service in one terminal:
//!
//! ```sh
//! cargo run --example grpc
//! ```
//!
//! With arguments, the program is a client. Update a thermostat twice at the same time, in another terminal:
//!
//! ```sh
//! cargo run --example grpc -- thermostat 2.0 & sleep 1; cargo run --example grpc -- thermostat 2.1; wait
//! ```
//!
//! An update takes five seconds. The second is refused with the status `ABORTED`, and with the time after which
//! the client should repeat it. Another device can be updated meanwhile.
//!
//! * **The lock** is that of [`RedlockLayer`], around all services of the server. Calls other than updates
//!   pass. Its [key](key::device) is in the message, so clients need not know that there is a lock.
//! * **If too few nodes answer**, the status is `UNAVAILABLE`, which clients repeat as well. If the lock is lost
//!   during an update, it is `UNKNOWN`, which they do not, because the device may have been changed.
//! * **If the client gives up**, or its deadline has passed, its update is stopped, and the device is free.
//! * **The fencing token** of the lock goes to the device with each block. A device that has seen a larger one
//!   refuses the blocks of an instance that was paused.
//! * At Ctrl-C or SIGTERM, updates that have begun are finished.
//!
//! `generated.rs` is made of `devices.proto`, and kept beside it, so that neither a build script nor
//! `protoc` is needed here. A service of your own would call `tonic_prost_build` in its build script.
//!
//! These environment variables are optional:
//!
//! * `PORT` (3000): the port to listen on, or to call, at 127.0.0.1.
//! * `REDIS_URLS`: the nodes, separated by commas. Three nodes in memory without it.
//! * `WORK_MS` (5000): how long an update takes.
//! * `EXPIRY_MS` (8000): how long the locks of an instance stay after it has crashed.
//! * `RUST_LOG`: what is logged.

mod client;
mod devices;
// As tonic-prost-build writes it.
#[rustfmt::skip]
#[allow(unreachable_pub)]
mod generated;
mod key;

use std::env;

use redsync_examples::{duration, listen, log, number, redsync, shutdown_signal};
use redsync_tower::{RedlockLayer, key::from_fn};
use tonic::transport::{Server, server::TcpIncoming};

use self::{devices::Workshop, generated::devices_server::DevicesServer};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    log();
    let arguments: Vec<_> = env::args().skip(1).collect();
    match &*arguments {
        [] => serve().await,
        [device, version] => client::update(number("PORT", 3000)?, device, version).await,
        _ => anyhow::bail!("a client needs a device and a version"),
    }
}

async fn serve() -> anyhow::Result<()> {
    let workshop = Workshop::new(duration("WORK_MS", 5000)?);
    let redsync = redsync()?;
    let lock = RedlockLayer::new(redsync.clone(), from_fn(key::device)).with_fencing(true);

    let (listener, url) = listen().await?;
    println!("Devices are on {url}");
    Server::builder()
        .layer(lock)
        .add_service(DevicesServer::new(workshop))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener), shutdown_signal())
        .await?;

    // The updates under way are finished. This waits for the releases of those that were cut off.
    redsync.drain().await;
    tracing::info!("shut down");
    Ok(())
}
