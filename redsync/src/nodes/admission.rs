//! The admission of a node: before its first command it is asked who it is, once.

use std::{
    future::Future,
    pin::pin,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use tokio::{
    sync::Notify,
    time::{Instant, timeout_at},
};

use crate::{node::NodeError, sync::Mutex};

/// How long to wait for an answer to the question of another caller. That caller may be on a
/// runtime that nobody drives any longer, so after this time, the node is asked again. It is a part
/// of the usual node time limit, so the caller that asks again still gets its lock.
const WAIT: Duration = Duration::from_millis(100);

/// Whether a node has been admitted, and who is asking it.
#[derive(Default)]
pub(super) struct Admission {
    is_admitted: AtomicBool,
    asking: Mutex<Asking>,
    /// Notifies the waiters that the node is admitted, or one of them that nobody asks any longer.
    changed: Notify,
}

#[derive(Default)]
struct Asking {
    /// The number of the latest caller that has asked.
    number: u64,
    /// Up to when others wait for its answer. None if it no longer asks.
    until: Option<Instant>,
}

/// The caller that asks. If it is dropped, the next caller asks.
struct Asker<'a> {
    admission: &'a Admission,
    number: u64,
}

impl Admission {
    pub(super) fn is_admitted(&self) -> bool {
        // Acquire, paired with the release in `admit`: what the question has shown is known.
        self.is_admitted.load(Ordering::Acquire)
    }

    /// Waits for the admission. Polls the question if no other caller is asking, or if that takes
    /// long.
    pub(super) async fn admit(
        &self,
        question: impl Future<Output = Result<(), NodeError>>,
    ) -> Result<(), NodeError> {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before the question whether to wait, so that no change after it is missed.
            changed.as_mut().enable();
            if self.is_admitted() {
                return Ok(());
            }
            let _asker = match self.begin(Instant::now()) {
                Ok(asker) => asker,
                Err(until) => {
                    // If the time is over, this caller asks.
                    let _ = timeout_at(until, changed).await;
                    continue;
                }
            };
            question.await?;
            // Release: see `is_admitted`.
            self.is_admitted.store(true, Ordering::Release);
            self.changed.notify_waiters();
            return Ok(());
        }
    }

    /// Begins to ask, or returns up to when to wait for another caller's answer.
    fn begin(&self, now: Instant) -> Result<Asker<'_>, Instant> {
        let mut asking = self.asking.lock();
        match asking.until {
            Some(until) if now < until => Err(until),
            _ => {
                asking.number += 1;
                asking.until = Some(now + WAIT);
                Ok(Asker {
                    admission: self,
                    number: asking.number,
                })
            }
        }
    }
}

impl Drop for Asker<'_> {
    fn drop(&mut self) {
        let mut asking = self.admission.asking.lock();
        if asking.number == self.number {
            asking.until = None;
            drop(asking);
            self.admission.changed.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use futures_util::FutureExt;
    use tokio::time::timeout;

    use super::*;

    /// A question that must not be asked.
    async fn never_asked() -> Result<(), NodeError> {
        panic!("it was asked twice")
    }

    #[tokio::test(start_paused = true)]
    async fn a_node_is_asked_once() {
        let admission = Admission::default();
        let slow = admission.admit(async {
            tokio::time::sleep(WAIT / 2).await;
            Ok(())
        });
        let others = async {
            let (first, second) = tokio::join!(
                admission.admit(never_asked()),
                admission.admit(never_asked())
            );
            first.and(second)
        };
        let (slow, others) = tokio::join!(slow, others);
        slow.and(others).unwrap();
        admission.admit(never_asked()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_caller_that_is_no_longer_polled_holds_up_the_others_for_a_short_time() {
        let admission = Admission::default();
        let mut stands_still = pin!(admission.admit(pending()));
        assert!((&mut stands_still).now_or_never().is_none());
        let start = Instant::now();
        admission.admit(ready(Ok(()))).await.unwrap();
        assert_eq!(start.elapsed(), WAIT);
        assert!(admission.is_admitted());
    }

    #[tokio::test(start_paused = true)]
    async fn callers_that_stand_still_one_after_the_other_do_not_block_for_ever() {
        let admission = Admission::default();
        let mut first = pin!(admission.admit(pending()));
        assert!((&mut first).now_or_never().is_none());
        let mut second = pin!(admission.admit(pending()));
        assert!(timeout(2 * WAIT, &mut second).await.is_err());
        admission.admit(ready(Ok(()))).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn after_a_failure_or_a_drop_the_next_caller_asks_at_once() {
        let admission = Admission::default();
        let dropped = timeout(WAIT / 4, admission.admit(pending()));
        let failing = async {
            tokio::task::yield_now().await;
            admission.admit(ready(Err(NodeError::TimedOut))).await
        };
        let last = async {
            tokio::task::yield_now().await;
            tokio::task::yield_now().await;
            let start = Instant::now();
            admission
                .admit(ready(Ok(())))
                .await
                .map(|()| start.elapsed())
        };
        let (dropped, failed, waited) = tokio::join!(dropped, failing, last);
        assert!(dropped.is_err());
        assert!(failed.is_err());
        assert!(waited.unwrap() < WAIT / 2);
    }
}
