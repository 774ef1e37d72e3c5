//! A client that locks, works and releases at random.

use std::sync::{Arc, Mutex};

use fastrand::Rng;
use redsync::{Guard, Redsync};
use tokio::time::{Instant, sleep, timeout};

use crate::history::History;
use crate::{NAMES, between};

pub(crate) struct Client {
    redsync: Redsync,
    rng: Rng,
    history: Arc<Mutex<History>>,
}

impl Client {
    pub(crate) fn new(redsync: Redsync, rng: Rng, history: Arc<Mutex<History>>) -> Self {
        Self {
            redsync,
            rng,
            history,
        }
    }

    pub(crate) async fn live_until(mut self, end: Instant) {
        while Instant::now() < end {
            let pause = between(&mut self.rng, 0, 100);
            sleep(pause).await;
            if let Some(guard) = self.lock().await {
                self.hold(guard).await;
            }
        }
    }

    async fn lock(&mut self) -> Option<Guard> {
        let rng = &mut self.rng;
        let name = NAMES[rng.usize(..NAMES.len())];
        let mutex = (self.redsync.mutex(name))
            .with_fail_fast(rng.u8(..4) > 0)
            .with_shuffled_nodes(rng.bool())
            .with_set_if_absent_on_extend(rng.bool());
        let lock = match rng.u8(..3) {
            0 => mutex.try_lock(),
            1 => mutex.lock_within(between(rng, 0, 3000)),
            _ => mutex.with_tries(5).lock(),
        };
        if rng.u8(..4) == 0 {
            // The future is dropped at a random time.
            timeout(between(rng, 0, 100), lock).await.ok()?.ok()
        } else {
            lock.await.ok()
        }
    }

    async fn hold(&mut self, mut guard: Guard) {
        loop {
            let from = Instant::now();
            self.work(&mut guard).await;
            let to = guard.until().min(Instant::now());
            self.history().believed(guard.name(), from, to);

            match self.rng.u8(..8) {
                0 => drop(guard.release()),
                1 | 2 => drop(guard),
                3 => match self.leave(guard).await {
                    Some(resumed) => {
                        guard = resumed;
                        continue;
                    }
                    None => return,
                },
                _ => {
                    // Whatever the result is.
                    let _ = guard.release().await;
                }
            }
            return;
        }
    }

    async fn work(&mut self, guard: &mut Guard) {
        let rng = &mut self.rng;
        if rng.bool() {
            guard.keep_alive();
        }
        let end = Instant::now() + between(rng, 0, 1500);
        while Instant::now() < end && !guard.is_lost() {
            sleep(between(rng, 0, 500)).await;
            match rng.u8(..4) {
                0 => {
                    let _ = guard.extend().await;
                }
                1 => {
                    let _ = timeout(between(rng, 0, 100), guard.extend()).await;
                }
                _ => {}
            }
        }
    }

    /// Leaves the lock to expire, and may resume it later.
    async fn leave(&mut self, guard: Guard) -> Option<Guard> {
        let mutex = self.redsync.mutex(guard.name());
        self.history().left(guard.until());
        let value = guard.into_parts().value;
        if self.rng.bool() {
            return None;
        }
        sleep(between(&mut self.rng, 0, 1000)).await;
        mutex.resume(value).await.ok()
    }

    fn history(&self) -> std::sync::MutexGuard<'_, History> {
        self.history.lock().expect("no panic")
    }
}
