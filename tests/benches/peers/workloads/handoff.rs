//! From the call that releases in one process to the guard in another that waits.

use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::Outcome;
use crate::figures::{Figures, machine_time};
use crate::implementation::{Client, Implementation};
use crate::process::{Job, Orders, Process, answer};
use crate::setting::Setting;
use crate::times::nanos;

/// For how long the other has waited when the lock is released, in milliseconds. It varies, for
/// those who look again at intervals.
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
    let job = Job::HandOff(format!("handoff:{:016x}", fastrand::u64(..)));
    let start = || Process::start(implementation, addresses, setting.runtime, &job);
    let (mut holder, mut waiter) = (start()?, start()?);
    holder.tell(&Step::Lock)?;
    holder.hear::<Duration>()?;

    let mut times = Vec::new();
    let begun = Instant::now();
    while begun.elapsed() < time || times.is_empty() {
        waiter.tell(&Step::Lock)?;
        thread::sleep(Duration::from_millis(fastrand::u64(WAITED)));
        holder.tell(&Step::Release)?;
        let released: Duration = holder.hear()?;
        let locked: Duration = waiter.hear()?;
        let between = locked.checked_sub(released);
        times.push(nanos(between.ok_or("the lock was held by two")?));
        std::mem::swap(&mut holder, &mut waiter);
    }
    Ok(Figures::default().with_times(times))
}

/// Does what the starting process says. It never says the same twice in a row.
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
