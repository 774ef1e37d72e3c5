//! The time from the call that releases in one process to the lock in another that waits.

use std::{
    thread,
    time::{Duration, Instant},
};

use redsync_tests::bench::{machine_time, nanos};
use serde::{Deserialize, Serialize};

use crate::{
    Outcome,
    figures::Figures,
    implementation::{Client, Implementation},
    process::{Job, Orders, Process, answer},
    setting::Setting,
};

/// How long the other process has waited when the lock is released, in milliseconds. It varies,
/// because implementations may poll at intervals.
const WAITED: std::ops::Range<u64> = 10..30;

#[derive(Serialize, Deserialize)]
enum Step {
    Lock,
    Release,
}

pub(crate) fn measure(
    addresses: &[String],
    setting: &Setting,
    implementation: Implementation,
    time: Duration,
) -> Outcome<Figures> {
    let job = Job::Handoff(format!("handoff:{:016x}", fastrand::u64(..)));
    let start = || Process::start(implementation, addresses, setting.runtime, &job);
    let (mut holder, mut waiter) = (start()?, start()?);
    holder.send(&Step::Lock)?;
    holder.receive::<Duration>()?;

    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < time || times.is_empty() {
        waiter.send(&Step::Lock)?;
        thread::sleep(Duration::from_millis(fastrand::u64(WAITED)));
        holder.send(&Step::Release)?;
        let released: Duration = holder.receive()?;
        let locked: Duration = waiter.receive()?;
        let between = locked.checked_sub(released);
        times.push(nanos(between.ok_or("two processes held the lock")?));
        std::mem::swap(&mut holder, &mut waiter);
    }
    Ok(Figures::default().with_times(times))
}

/// Carries out the orders of the starting process, which never gives the same one twice in a row.
pub(crate) async fn serve(client: &Client, name: &str, orders: &mut Orders) -> Outcome<()> {
    let mut held = None;
    while let Some(step) = orders.next().await? {
        match step {
            Step::Lock => {
                held = Some(client.wait(name).await?);
                answer(&machine_time())?;
            }
            Step::Release => {
                let released = machine_time();
                held.take().ok_or("nothing to release")?.release().await?;
                answer(&released)?;
            }
        }
    }
    Ok(())
}
