//! Futures that are not always polled when they are woken.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
    time::Duration,
};

use fastrand::Rng;
use tokio::time::{Instant, sleep};

use super::chance::whole;
use crate::history::{Call, Recorder, What};

/// Stands still now and then for a while, though it was woken.
pub(super) async fn stalling<T>(
    mut rng: Rng,
    call: Call,
    recorder: &Recorder,
    future: impl Future<Output = T>,
) -> T {
    let mut future = pin!(future);
    let mut stall = pin!(sleep(Duration::ZERO));
    let mut stands = false;
    poll_fn(|cx| {
        if !stands && rng.u8(..20) == 0 {
            let time = whole(&mut rng, 1, 1500);
            stall.as_mut().reset(Instant::now() + time);
            stands = true;
            recorder.record(What::Stands { call });
        }
        if stands {
            if stall.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            stands = false;
            recorder.record(What::Goes { call });
        }
        future.as_mut().poll(cx)
    })
    .await
}
