//! Extending in the background.

use std::{pin::pin, sync::Arc};

use futures_util::future::select;
use tokio::time::{Instant, sleep_until};

use crate::{ExtendError, Lost, claim::Claim, quorum::Verdict};

/// One round of extension.
///
/// # Cancel safety
///
/// Dropped, what was sent goes on in the background: keys may live longer, the validity stays.
pub(crate) async fn extend(claim: &Arc<Claim>) -> Result<(), ExtendError> {
    let start = Instant::now();
    let until = claim.until();
    if start >= until {
        return Err(ExtendError::Lost);
    }
    // A confirmation after the validity has ended is worth nothing.
    let deadline = (start + claim.options().node_timeout()).min(until);
    let outcome = claim.extend(deadline).await;
    match outcome.verdict {
        Verdict::Granted if claim.prolong(claim.until_from(start)) => {
            claim.forget_gaps_before(start);
            tracing::trace!(name = %claim.name(), "extended");
            Ok(())
        }
        Verdict::Granted => Err(ExtendError::Lost),
        // So many nodes have given the key away that those left are no majority.
        Verdict::Refused => {
            claim.lose();
            Err(ExtendError::Lost)
        }
        Verdict::Unknown if claim.is_lost() => Err(ExtendError::Lost),
        Verdict::Unknown => Err(ExtendError::Failed(outcome.into_votes(claim))),
    }
}

/// Extends first when a third of the validity has passed, and after a failure every twelfth of the
/// expiry, until the lock is lost, or has been held as long as it may. Ended by being dropped.
pub(crate) async fn keep_alive(claim: Arc<Claim>) {
    let expiry = claim.options().expiry();
    let now = Instant::now();
    // A lock that was resumed may have less left than an expiry.
    let mut next = now + (expiry / 3).min((claim.until() - now) / 3);
    let renew = async {
        loop {
            if claim.is_held_to_the_end() {
                return std::future::pending().await;
            }
            sleep_until(next).await;
            let start = Instant::now();
            next = match extend(&claim).await {
                Ok(()) => start + expiry / 3,
                Err(ExtendError::Failed(votes)) => {
                    let error = ExtendError::Failed(votes);
                    tracing::debug!(name = %claim.name(), %error, "not extended");
                    start + (expiry / 12).min((claim.until() - start) / 4)
                }
                Err(ExtendError::Lost) => return,
            };
        }
    };
    // Lost is lost at `until`, even while an extension is under way.
    select(pin!(Lost::new(Arc::clone(&claim))), pin!(renew)).await;
    if !claim.is_released() {
        claim.count_loss();
        tracing::warn!(name = %claim.name(), "lost");
    }
}
