//! Guards that are kept alive for several expiries, alone or beside a busy loop on the same core.

use std::{
    hint::spin_loop,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use redsync::Guard;
use redsync_tests::Servers;

use crate::{
    Outcome,
    machine::resident,
    report::Row,
    setup::{NODES, Span, connect, names},
};

/// The default, which the rounds of extension depend on.
const EXPIRY: Duration = Duration::from_secs(8);

/// How many locks are acquired at the same time.
const TOGETHER: usize = 256;

pub(crate) async fn measure(count: usize, is_busy: bool) -> Outcome<Vec<Row>> {
    let servers = Servers::start(NODES);
    let redsync = connect(&servers)?;
    drop(redsync.mutex("first").lock().await?);
    let before = resident()?;
    let lock = async |name: String| {
        let mut guard = redsync.mutex(name).with_expiry(EXPIRY).lock().await?;
        guard.keep_alive();
        Outcome::Ok(guard)
    };
    let guards: Vec<Guard> = stream::iter(names(count))
        .map(lock)
        .buffer_unordered(TOGETHER)
        .try_collect()
        .await?;
    let memory = resident()? - before;
    let busy = is_busy.then(BusyLoop::start);
    // All guards have been extended at least once when it begins.
    tokio::time::sleep(EXPIRY / 2).await;
    let load = Span::of(&servers, 2 * EXPIRY).await;
    drop(busy);
    let lost = guards.iter().filter(|guard| guard.is_lost()).count();
    let rounds = count as f64 / (EXPIRY.as_secs_f64() / 3.0);
    let mut rows = vec![
        Row::at_most("lost", lost as f64, 0.0),
        Row::at_most(
            "extensions per third of the expiry",
            load.scripts / rounds,
            1.1,
        ),
        Row::memory(memory, count),
    ];
    if !is_busy {
        rows.push(Row::plain("CPU, %", load.cpu));
    }
    Ok(rows)
}

/// A thread that does nothing, as fast as it can.
struct BusyLoop(Arc<AtomicBool>);

impl BusyLoop {
    fn start() -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let seen = Arc::clone(&is_over);
        // Relaxed: nothing else is passed on.
        thread::spawn(move || {
            while !seen.load(Ordering::Relaxed) {
                spin_loop();
            }
        });
        Self(is_over)
    }
}

impl Drop for BusyLoop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
