//! Tasks that lock names of their own, one after the other, as fast as they can.

use std::fmt::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::Outcome;
use crate::figures::{Figures, cpu_time, percentile};
use crate::implementation::Client;

/// For how much longer than its time a lock may take that was begun in time. What is not done by
/// then is cancelled, and does not count.
const GRACE: Duration = Duration::from_secs(5);

/// What locks and their releases took, in nanoseconds.
#[derive(Default)]
struct Times {
    locks: Vec<u64>,
    both: Vec<u64>,
}

/// Has so many tasks lock and release, for a time, with pauses between.
pub(crate) async fn lock_and_release(
    client: &Arc<Client>,
    tasks: usize,
    time: Duration,
    pause: Duration,
) -> Outcome<Figures> {
    let (start, cpu) = (Instant::now(), cpu_time());
    let mut running = JoinSet::new();
    for _ in 0..tasks {
        let client = Arc::clone(client);
        running.spawn(async move {
            let mut times = Times::default();
            let work = times.repeat(&client, start + time, pause);
            match timeout(time + GRACE, work).await {
                Ok(done) => done.map(|()| times),
                Err(_) => Ok(times),
            }
        });
    }
    let mut all = Times::default();
    while let Some(times) = running.join_next().await {
        let times = times??;
        all.locks.extend(times.locks);
        all.both.extend(times.both);
    }
    let (took, cpu) = (start.elapsed(), cpu_time() - cpu);
    all.locks.sort_unstable();
    let figures = Figures {
        lock_p50_us: percentile(&all.locks, 0.5),
        ..Figures::default()
    };
    Ok(figures
        .with_costs(all.both.len(), took, cpu)
        .with_times(all.both))
}

impl Times {
    async fn repeat(&mut self, client: &Client, end: Instant, pause: Duration) -> Outcome<()> {
        let prefix = fastrand::u64(..);
        let mut name = String::new();
        for number in 0.. {
            if !pause.is_zero() {
                sleep(pause).await;
            }
            name.clear();
            write!(name, "{prefix:016x}:{number}")?;
            let begun = Instant::now();
            if begun >= end {
                break;
            }
            let held = client.lock(&name).await?;
            self.locks.push(nanos(begun.elapsed()));
            held.release().await?;
            self.both.push(nanos(begun.elapsed()));
        }
        Ok(())
    }
}

pub(crate) fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
