//! The parts of guards, as one process writes and another reads them.

use std::{fmt::Debug, time::Duration};

use redsync::{FencingToken, GuardParts, Redsync};

use super::block_on;

/// Checks that a text is parts of a guard or is refused, that parts are written as they were read,
/// and that they do not make a guard where nobody holds the lock.
///
/// # Panics
///
/// Panics if that does not hold.
pub fn check(text: &str) {
    let Ok(parts) = serde_json::from_str::<GuardParts>(text) else {
        return;
    };
    let written = serde_json::to_string(&parts).expect("parts can be written");
    let again = serde_json::from_str(&written).expect("what was written can be read");
    assert_eq!(fields(&parts), fields(&again), "{text}");
    let redsync = Redsync::in_memory(1);
    let mutex = redsync
        .mutex_many(parts.names.clone())
        .with_mode(parts.mode);
    assert!(block_on(mutex.resume(parts)).is_err(), "{text}");
}

fn fields(parts: &GuardParts) -> impl PartialEq + Debug + use<> {
    let GuardParts {
        names,
        value,
        mode,
        fencing_token,
        remaining,
        ..
    } = parts.clone();
    (
        names,
        value.as_str().to_owned(),
        mode,
        fencing_token,
        remaining,
    )
}

/// Checks that a lock that is held can be resumed with another token or time left, if these are
/// possible, and with another owner value not.
///
/// # Panics
///
/// Panics if that does not hold.
pub fn check_changed(value: Option<&str>, token: Option<u64>, millis: u32) {
    let redsync = Redsync::in_memory(1);
    block_on(async {
        let guard = redsync.mutex("a").try_lock().await.expect("a lock");
        let mut parts = guard.into_parts();
        let is_owner = value.is_none_or(|value| value == parts.value.as_str());
        if let Some(value) = value {
            parts.value = value.into();
        }
        parts.fencing_token = token.map(FencingToken::new);
        parts.remaining = Duration::from_millis(millis.into());
        let can_be_resumed = is_owner && millis > 0 && token.is_none_or(|token| token <= 1 << 62);
        let resumed = redsync.mutex("a").resume(parts).await;
        assert_eq!(resumed.is_ok(), can_be_resumed, "{resumed:?}");
    });
}
