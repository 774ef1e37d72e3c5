//! Tasks that lock names of their own, one after the other, as fast as they can.

use std::{
    fmt::Write,
    sync::Arc,
    time::{Duration, Instant},
};

use redsync_tests::bench::cpu_time;
use tokio::{
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{Outcome, figures::Figures, implementation::Client, times::Times};

/// How long after its time a measurement waits for locks that were begun in time. After that they
/// are cancelled, and do not count.
const GRACE: Duration = Duration::from_secs(5);

/// Lets tasks lock and release for a time, with a pause before each lock.
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
            let work = repeat(&mut times, &client, start + time, pause);
            match timeout(time + GRACE, work).await {
                Ok(done) => done.map(|()| times),
                Err(_) => Ok(times),
            }
        });
    }
    let mut all = Times::default();
    while let Some(times) = running.join_next().await {
        all.extend(times??);
    }
    Ok(all.figures(start.elapsed(), cpu_time() - cpu))
}

async fn repeat(times: &mut Times, client: &Client, end: Instant, pause: Duration) -> Outcome<()> {
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
        times.locked(begun);
        held.release().await?;
        times.released(begun);
    }
    Ok(())
}
