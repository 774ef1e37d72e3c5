//! What is going on while a future is dropped, and what has to hold after that.

use std::time::Duration;

use redsync::{LockError, Mode, Mutex, Redsync};
use tokio::{
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::{
    dropping::poll_and_drop,
    kind::{Kind, MIN_HOLD},
    stores::{RIVAL, Stores},
    table::{Kept, Row, State},
};

/// Longer than anything here may take.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// How long another of this process holds the lock.
const HOLD: Duration = Duration::from_millis(50);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Situation {
    /// Nobody else wants the lock.
    Free,
    /// Others of this process want it: one has it before, and one waits behind.
    Queue,
    /// Another process has it.
    Rival,
}

/// One who locks on some nodes.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) redsync: Redsync,
    pub(crate) mutex: Mutex,
    kind: Kind,
}

impl World {
    pub(crate) fn new(redsync: Redsync, kind: Kind) -> Self {
        Self {
            mutex: kind.mutex(&redsync),
            redsync,
            kind,
        }
    }

    /// Drops the future of a row after this number of polls, and checks what has to hold then. Returns
    /// whether it had ended.
    pub(crate) async fn drop_once(
        &self,
        row: &Row,
        situation: Situation,
        stores: &dyn Stores,
        polls: usize,
    ) -> bool {
        let case = format!(
            "{:?}, {:?}, {situation:?}, {polls} polls",
            row.covers, self.kind
        );
        let mut holder = None;
        match (situation, row.state) {
            (Situation::Rival, _) => stores.occupy(&self.keys()).await,
            (Situation::Queue, State::NotHeld) => holder = Some(self.hold_for_a_while().await),
            _ => {}
        }
        let started = (row.start)(self.clone()).await;
        let behind = (situation == Situation::Queue).then(|| self.wait_behind());
        if behind.is_some() && row.state == State::Held {
            self.let_queue_form().await;
        }
        let ended = poll_and_drop(polls, started.future).await;
        match started.kept {
            Kept::Parts(parts) if !ended => {
                let resumed = self.mutex.resume(parts).await;
                drop(resumed.unwrap_or_else(|error| panic!("{case}: {error}")));
            }
            Kept::Guard(guard) => drop(guard),
            Kept::Parts(_) | Kept::Nothing => {}
        }
        if let Some(behind) = behind {
            let behind = timeout(stores.soon(), behind).await;
            let behind = behind.unwrap_or_else(|_| panic!("{case}: a waiter is stuck"));
            let locked = behind.expect("no panic");
            locked.unwrap_or_else(|error| panic!("{case}: {error}"));
        }
        if let Some(holder) = holder {
            holder.await.expect("no panic");
        }
        self.ends_clean(situation, stores, &case).await;
        ended
    }

    /// Checks that nothing is left, and that the next one gets the lock.
    async fn ends_clean(&self, situation: Situation, stores: &dyn Stores, case: &str) {
        for next in ["the future", "the next lock"] {
            let drained = timeout(LONG, self.redsync.drain()).await;
            assert!(
                drained.is_ok(),
                "{case}: the drain does not end after {next}"
            );
            if situation == Situation::Rival {
                sleep(RIVAL).await;
            }
            if self.kind == Kind::MinHold {
                sleep(MIN_HOLD).await;
            }
            let left = stores.keys().await;
            assert!(left.is_empty(), "{case}: {next} leaves {left:?}");
            let guard = self.against().try_lock().await;
            drop(guard.unwrap_or_else(|error| panic!("{case}: after {next}: {error}")));
        }
        self.redsync.drain().await;
        if self.kind == Kind::MinHold {
            sleep(MIN_HOLD).await;
        }
    }

    fn against(&self) -> Mutex {
        self.kind.against(&self.redsync)
    }

    fn keys(&self) -> Vec<String> {
        self.mutex.keys().collect()
    }

    /// Locks all that there is to lock, and releases it after a while. One shared holder keeps
    /// exclusive ones out.
    async fn hold_for_a_while(&self) -> JoinHandle<()> {
        let (mutex, mut guards) = (self.against(), Vec::new());
        while mutex.mode() == Mode::Exclusive || guards.is_empty() {
            match mutex.try_lock().await {
                Ok(guard) => guards.push(guard),
                Err(LockError::Taken(_)) => break,
                Err(error) => panic!("{error}"),
            }
        }
        tokio::spawn(async move {
            sleep(HOLD).await;
            drop(guards);
        })
    }

    /// Waits until one who wants a lock that is held here has joined the queue, unless it has got
    /// the lock.
    async fn let_queue_form(&self) {
        let probe = self.against().with_max_waiting(1);
        for _ in 0..50 {
            let refused = probe.lock_within(Duration::ZERO).await;
            if matches!(refused, Err(LockError::TooManyWaiting { .. })) {
                break;
            }
            sleep(Duration::from_millis(1)).await;
        }
    }

    /// Waits for the lock, and releases it at once: with no order among first attempts, it may be
    /// the dropped future that comes after this one.
    fn wait_behind(&self) -> JoinHandle<Result<(), LockError>> {
        let mutex = self.against();
        tokio::spawn(async move {
            // Others come first.
            tokio::task::yield_now().await;
            // The last attempt, at the deadline, gets the lock even if nobody has woken it.
            mutex.lock_within(2 * LONG).await.map(drop)
        })
    }
}
