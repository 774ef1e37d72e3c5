//! A job that is due every ten seconds, in a service of which several instances run: each time, one of them
//! runs it.
//!
//! Start three instances, in three terminals:
//!
//! ```sh
//! for port in 7001 7002 7003; do redis-server --port $port --save '' > /dev/null & done
//! export REDIS_URLS=redis://127.0.0.1:7001,redis://127.0.0.1:7002,redis://127.0.0.1:7003
//! cargo run --example cron
//! ```
//!
//! Each run is logged by one of them, with all its steps, and the others log that another instance runs it.
//! Stop the one that runs it with Ctrl-Z, and continue it with `fg` after ten seconds: another has taken
//! over, and the one that was stopped makes no further step.
//!
//! How it works:
//!
//! * All instances try to lock the job when it is due. One gets the lock, and the others do not wait.
//! * **The clocks of instances differ.** A short run may be over before the slowest clock has struck. So
//!   the lock is held for [a minimum](redsync_tower::redsync::Mutex::with_min_hold), which is longer than the
//!   clocks differ. An instance that is late by more than that, because it was paused, skips the run.
//! * **A long run** is extended in the background. If it is not over when the next is due, that is skipped.
//! * **If the lock is lost**, because the instance was paused or too few nodes answer, the run ends where it
//!   is, since another instance may begin the next. A step that is under way cannot be called
//!   back: whatever it writes to should compare the fencing token, which each step has.
//! * **If the instance is killed**, the rest of its run is not made up for. Its lock expires, and the next
//!   run is that of another instance. So a run should find for itself what is to be done.
//! * **If the nodes are down** when the job is due, nobody runs it, and each instance logs an error.
//! * At Ctrl-C or SIGTERM, a run that has begun is finished.
//!
//! This is for jobs that may be skipped now and then, and that do no harm if they run twice in spite of all:
//! a lock with an expiry is no promise that something happens exactly once. If it has to, store the number
//! of the run with what it writes, in one transaction.
//!
//! These environment variables are optional:
//!
//! * `REDIS_URLS`: the nodes, separated by commas. Three nodes in memory without it, for one instance.
//! * `EVERY_MS` (10000): the time between two runs.
//! * `WORK_MS` (3000): how long a run takes, in ten steps.
//! * `CLOCKS_MS` (1000): how far the clocks of two instances may be apart.
//! * `CLOCK_AHEAD_MS` (0): how far the clock of this instance is ahead, to try it out.
//! * `EXPIRY_MS` (8000): how long the lock of an instance stays after it has crashed.
//! * `RUST_LOG`: what is logged.

mod job;
mod leader;
mod schedule;

use anyhow::{Context, ensure};
use redsync_examples::{duration, log, redsync, shutdown_signal};
use tokio_util::sync::CancellationToken;

use self::{job::Job, leader::Leader, schedule::Schedule};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    log();
    let (every, clocks) = (duration("EVERY_MS", 10_000)?, duration("CLOCKS_MS", 1000)?);
    // Two instances begin with the same run at most so far apart: one clock is behind, and late as well.
    let min_hold = clocks * 2;
    ensure!(
        min_hold < every,
        "EVERY_MS must be more than twice CLOCKS_MS"
    );

    let redsync = redsync()?;
    let mutex = redsync.mutex("cron:report").with_fencing(true);
    let mutex = mutex.with_min_hold(min_hold);
    mutex.check().context("CLOCKS_MS or EXPIRY_MS")?;
    let leader = Leader::new(mutex, Job::new(duration("WORK_MS", 3000)?));
    let schedule = Schedule::new(every, duration("CLOCK_AHEAD_MS", 0)?);

    let (shutdown, stop) = (CancellationToken::new(), shutdown_signal());
    tokio::spawn({
        let shutdown = shutdown.clone();
        async move {
            stop.await;
            shutdown.cancel();
        }
    });
    println!("The job is due every {every:?}");
    loop {
        let run = schedule.next();
        tracing::debug!("{run}: next");
        let reached = shutdown.run_until_cancelled(schedule.reach(run)).await;
        match reached {
            Some(late) if late > clocks => tracing::warn!("{run}: too late for it, by {late:?}"),
            Some(_) => leader.lead(run).await,
            None => break,
        }
    }
    redsync.drain().await;
    tracing::info!("shut down");
    Ok(())
}
