//! One task, and one node of several that is down. It goes down after the client has connected.

use std::time::Duration;

use redsync_tests::Servers;

use super::distinct::lock_and_release;
use crate::{
    Outcome, addresses,
    figures::Figures,
    implementation::{Client, Implementation},
    runtime::run,
    setting::{Setting, Workload},
};

pub(crate) fn measure(
    setting: &Setting,
    implementation: Implementation,
    time: Duration,
) -> Outcome<Figures> {
    let setting = *setting;
    // Servers of its own: one that has hung has a lot to do when it goes on.
    let servers = Servers::start(setting.nodes);
    run(setting.runtime, async move {
        let client = Client::connect(implementation, &addresses(&servers)).await?;
        match setting.workload {
            Workload::Hung => servers[0].stop(),
            Workload::Killed => servers[0].kill(),
            _ => {}
        }
        lock_and_release(&client, setting.tasks, time, Duration::ZERO).await
    })
}
