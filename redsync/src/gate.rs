//! The gate: how many attempts of a process are under way at the same time.
//!
//! Without a gate, a process that wants more locks than its nodes can grant would begin attempts
//! that wait at the nodes until their time is over. The nodes would work for nothing. An attempt
//! that waits at the gate costs the nodes nothing, and one that passes is answered in time: a
//! [bound](bound) follows how long answers take, and a call with too little time left for an answer
//! does not pass.
//!
//! Attempts pass in the order in which they came. So under overload, an attempt that passes has
//! waited for long. Another order would let no more of them pass.
//!
//! An attempt ends when its future is polled or dropped. A runtime that stands still does neither,
//! and may have all places. So if no place was taken or given back for longer than attempts take,
//! those that are taken are replaced.

mod bound;

use std::{pin::pin, sync::Arc, time::Duration};

use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use self::bound::Bound;
use crate::sync::{Mutex, MutexGuard};

/// An attempt has at most this many rounds: one that acquires, and one that raises counters. Each
/// takes at most the node time limit.
const ROUNDS: u32 = 2;

/// Limits the attempts of one [`Redsync`](crate::Redsync).
#[derive(Clone)]
pub(crate) struct Gate(Arc<State>);

struct State {
    /// A permit for each place that is free.
    free: Semaphore,
    places: Mutex<Places>,
}

struct Places {
    /// How many there are, free or taken. While it is above the bound, places that are given back
    /// are closed.
    open: usize,
    bound: Bound,
    /// When one was last taken or given back.
    changed_at: Instant,
    /// How many times all of them were replaced.
    replacements: u64,
}

/// A place among the attempts that are under way. It is free again when this is dropped.
pub(crate) struct Pass {
    gate: Gate,
    /// When the present attempt began.
    since: Instant,
    /// How many times places had been replaced when it was taken. If there are more by now, it has
    /// no place to give back.
    replacements: u64,
}

impl Gate {
    pub(crate) fn new() -> Self {
        let bound = Bound::default();
        Self(Arc::new(State {
            free: Semaphore::new(bound.attempts()),
            places: Mutex::new(Places {
                open: bound.attempts(),
                bound,
                changed_at: Instant::now(),
                replacements: 0,
            }),
        }))
    }

    /// Passes at once, unless too many attempts are under way or others wait.
    pub(crate) fn try_pass(&self) -> Option<Pass> {
        self.0.free.try_acquire().ok()?.forget();
        Some(self.pass())
    }

    /// Waits for a place, up to a limit. If places do not move for as long as an attempt may take,
    /// they are replaced.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the others move up.
    pub(crate) async fn pass_by(&self, limit: Instant, node_timeout: Duration) -> Option<Pass> {
        if let Some(pass) = self.try_pass() {
            return Some(pass);
        }
        let attempt = ROUNDS * node_timeout;
        let mut free = pin!(self.0.free.acquire());
        loop {
            let stands_still_at = self.places().changed_at + attempt;
            match timeout_at(limit.min(stands_still_at), free.as_mut()).await {
                Ok(permit) => {
                    // It is never closed.
                    permit.ok()?.forget();
                    return Some(self.pass());
                }
                Err(_) if limit <= stands_still_at => return None,
                Err(_) => self.replace_places(attempt),
            }
        }
    }

    /// Waits for a place, for as long as an attempt would probably be answered before a deadline.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, the others move up.
    pub(crate) async fn pass_in_time(
        &self,
        deadline: Instant,
        node_timeout: Duration,
    ) -> Option<Pass> {
        if let Some(pass) = self.try_pass() {
            return Some(pass);
        }
        let now = Instant::now();
        let limit = deadline.checked_sub(self.usual_time()).unwrap_or(now);
        let pass = self.pass_by(limit, node_timeout).await?;
        // Answers may take longer by now.
        (pass.since + self.usual_time() <= deadline).then_some(pass)
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.0.places.lock()
    }

    fn pass(&self) -> Pass {
        let since = Instant::now();
        let mut places = self.places();
        places.changed_at = since;
        Pass {
            gate: self.clone(),
            since,
            replacements: places.replacements,
        }
    }

    /// Replaces all places, unless one was taken or given back within this time.
    fn replace_places(&self, time: Duration) {
        let (now, mut places) = (Instant::now(), self.places());
        if now < places.changed_at + time {
            return;
        }
        places.changed_at = now;
        places.replacements += 1;
        places.open = places.bound.attempts();
        let open = places.open;
        drop(places);
        self.0.free.add_permits(open);
    }

    /// How long it takes at present until an attempt is answered.
    pub(crate) fn usual_time(&self) -> Duration {
        self.places().bound.usual_time()
    }
}

impl Pass {
    /// Counts an attempt that has been answered, or whose nodes have used up their time. Another
    /// attempt may follow with the same pass.
    pub(crate) fn answered(&mut self, node_timeout: Duration) {
        let State { free, places } = &*self.gate.0;
        let (now, is_full) = (Instant::now(), free.available_permits() == 0);
        let mut places = places.lock();
        places
            .bound
            .answered(self.since, now, node_timeout, is_full);
        places.changed_at = now;
        let more = places.bound.attempts().saturating_sub(places.open);
        places.open += more;
        drop(places);
        free.add_permits(more);
        self.since = now;
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        let State { free, places } = &*self.gate.0;
        let mut places = places.lock();
        if self.replacements < places.replacements {
            return;
        }
        places.changed_at = Instant::now();
        if places.open > places.bound.attempts() {
            places.open -= 1;
        } else {
            drop(places);
            free.add_permits(1);
        }
    }
}

#[cfg(test)]
mod tests;
