//! From a lock of another process to a guard: its nodes are asked whether they still keep it.

use std::sync::Arc;

use tokio::time::Instant;

use crate::{
    ConfigError, FencingToken, Guard, LockError, Resume,
    common::Common,
    lease::Lease,
    quorum::{cast::RoundVotes, tally::Verdict},
    request::Request,
};

/// Takes over a lock that a quorum still keeps for its owner value. It changes nothing on the
/// nodes.
///
/// # Cancel safety
///
/// If the future is dropped, the lock stays as it was.
pub(crate) async fn resume(
    request: Request,
    common: Arc<Common>,
    resumed: Resume,
) -> Result<Guard, LockError> {
    let permit = check(&request, &resumed)?;
    // The value of a released lock stays on the nodes for the rest of a minimum hold, and can be
    // read there.
    let is_over = resumed.was_lost || resumed.value.is_released();
    let lease = Lease::resumed(common.site(), &request, permit, resumed.value);
    if is_over {
        return Err(LockError::NotHeld(lease.votes(RoundVotes::new())));
    }
    if let Some(token) = resumed.token {
        lease.set_token(token);
    }
    let start = Instant::now();
    let kept = lease.verify().await;
    match kept.verdict {
        Verdict::Granted => {
            let timing = &lease.options().timing;
            // The first holder's validity has ended, although the nodes still keep the keys:
            // because of the drift, it ends before they expire.
            let has_ended = kept.remaining <= timing.drift(timing.expiry());
            // A majority granted, and each of these nodes keeps the names for at least this long.
            lease.begin_hold(timing.until_from(start, kept.remaining));
            if has_ended || lease.is_lost() {
                return Err(LockError::NotHeld(kept.votes));
            }
            Ok(Guard::new(common.own(lease), &common))
        }
        Verdict::Refused => Err(LockError::NotHeld(kept.votes)),
        Verdict::Divided | Verdict::Unavailable => Err(LockError::Unavailable(kept.votes)),
    }
}

/// Finds out what is wrong before any node is asked. Returns which permit it is.
fn check(request: &Request, resumed: &Resume) -> Result<usize, LockError> {
    if resumed.value.as_str().is_empty() {
        return Err(LockError::Value("it is empty".into()));
    }
    let permit = match &resumed.kind {
        Some((_, mode)) if *mode != request.options.kind.mode => None,
        Some((names, _)) => request.permits().position(|permit| permit[..] == names[..]),
        // The value alone does not say which of several it is.
        None => (!request.is_semaphore()).then_some(0),
    };
    let Some(permit) = permit else {
        let name = request.label.to_name();
        return Err(ConfigError::OtherLock { name }.into());
    };
    match resumed.token {
        Some(token) if token > FencingToken::MAX => Err(ConfigError::Option {
            option: "fencing_token",
            must: "one that was granted",
            is: token.to_string().into(),
        }
        .into()),
        _ => Ok(permit),
    }
}
