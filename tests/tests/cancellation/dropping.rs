//! Polls a future for a while, and drops it.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

/// Polls a future up to `polls` times, each time it is woken, and drops it. Returns whether it had
/// ended by then.
pub(crate) async fn poll_and_drop(polls: usize, future: impl Future) -> bool {
    let mut future = pin!(future);
    let mut left = polls;
    poll_fn(move |cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        let ended = future.as_mut().poll(cx).is_ready();
        if ended || left == 0 {
            Poll::Ready(ended)
        } else {
            Poll::Pending
        }
    })
    .await
}
