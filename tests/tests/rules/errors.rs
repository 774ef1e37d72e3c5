//! Errors show names, and the texts of others, on one line.

use std::{fmt::Display, io, sync::Arc};

use redsync::{ConfigError, LockError, NodeError, Redsync, RunError};
use redsync_tests::faulty::Fault;

use crate::{VALIDITY, ms, nodes, redsync};

/// A name that would begin a line of its own in a log, and clear the screen.
const FORGED: &str = "cart\n12:00 ERROR all is lost\u{1b}[2J\u{9b}\r";

#[track_caller]
fn assert_on_one_line(error: &impl Display) {
    let shown = error.to_string();
    assert!(!shown.contains(char::is_control), "{shown:?}");
    let escaped = r"cart\n12:00 ERROR all is lost\u{1b}[2J\u{9b}\r";
    assert!(shown.contains(escaped), "{shown}");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_locking_shows_the_name_on_one_line() {
    let nodes = nodes::<3>();
    let redsync = redsync(&nodes);
    let mutex = redsync.mutex(FORGED);
    let guard = mutex.lock().await.unwrap();

    let taken = mutex.try_lock().await.unwrap_err();
    assert!(matches!(taken, LockError::Taken(_)), "{taken:?}");
    assert_on_one_line(&taken);

    let timed_out = mutex.lock_within(ms(30)).await.unwrap_err();
    assert!(matches!(timed_out, LockError::TimedOut(_)), "{timed_out:?}");
    assert_on_one_line(&timed_out);

    let full = mutex.clone().with_max_waiting(0).lock().await.unwrap_err();
    assert!(matches!(full, LockError::TooManyWaiting { .. }), "{full:?}");
    assert_on_one_line(&full);

    let not_held = mutex.resume("another value").await.unwrap_err();
    assert!(matches!(not_held, LockError::NotHeld(_)), "{not_held:?}");
    assert_on_one_line(&not_held);

    let parts = guard.into_parts();
    let other = redsync.mutex(format!("{FORGED}2"));
    let other = other.resume(parts.clone()).await.unwrap_err();
    let is_other = matches!(other, LockError::Config(ConfigError::OtherLock { .. }));
    assert!(is_other, "{other:?}");
    assert_on_one_line(&other);
    mutex.resume(parts).await.unwrap().release().await.unwrap();

    for node in &nodes {
        node.always(Fault::late_reply(ms(200)));
    }
    let late = mutex.clone().with_min_validity(VALIDITY - ms(100));
    let late = late.try_lock().await.unwrap_err();
    assert!(matches!(late, LockError::TooLate(_)), "{late:?}");
    assert_on_one_line(&late);

    for node in &nodes {
        node.always(Fault::unreachable());
    }
    let unavailable = mutex.try_lock().await.unwrap_err();
    assert!(
        matches!(unavailable, LockError::Unavailable(_)),
        "{unavailable:?}"
    );
    assert_on_one_line(&unavailable);
    let run = mutex.clone().with_tries(1).run(async |_| ()).await;
    let run = run.unwrap_err();
    assert!(matches!(run, RunError::Lock(_)), "{run:?}");
    assert_on_one_line(&run);
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_guard_shows_the_name_on_one_line() {
    let nodes = nodes::<3>();
    let guard = redsync(&nodes).mutex(FORGED).lock().await.unwrap();
    for node in &nodes {
        node.always(Fault::unreachable());
    }
    assert_on_one_line(&guard.extend().await.unwrap_err());
    assert_on_one_line(&guard.verify().await.unwrap_err());
    assert_on_one_line(&guard.release().await.unwrap_err());
}

#[test]
fn an_error_of_a_configuration_shows_the_name_on_one_line() {
    let redsync = Redsync::in_memory(1);
    let reserved = redsync.mutex(format!("{FORGED}:fence")).check();
    assert_on_one_line(&reserved.unwrap_err());
    let url = Redsync::connect([format!("redis://10.0.0.1:{FORGED}")]);
    assert_on_one_line_at_all(&url.unwrap_err());
}

#[track_caller]
fn assert_on_one_line_at_all(error: &impl Display) {
    let shown = error.to_string();
    assert!(!shown.contains(char::is_control), "{shown:?}");
    assert!(!shown.ends_with(char::is_whitespace), "{shown:?}");
}

#[tokio::test(start_paused = true)]
async fn an_error_of_a_node_is_shown_on_one_line_without_trailing_blanks() {
    let of_io = || Arc::new(io::Error::other(FORGED));
    let shown = |error: NodeError| error.to_string();
    for error in [
        NodeError::Unreachable(of_io()),
        NodeError::Disconnected(of_io()),
        NodeError::Unexpected(FORGED.into()),
        NodeError::refused("ERR", FORGED),
        NodeError::refused(FORGED, "message"),
    ] {
        assert_on_one_line_at_all(&error);
        // As one vote of an error.
        let nodes = nodes::<1>();
        nodes[0].always(Fault::error(error));
        let whole = redsync(&nodes).mutex("cart").try_lock().await.unwrap_err();
        assert_on_one_line_at_all(&whole);
    }
    let denied = shown(NodeError::refused("DENIED", ""));
    assert_eq!(denied, "answered with an error: DENIED");
    let loading = shown(NodeError::refused("LOADING", " Redis is loading \r\n"));
    assert_eq!(
        loading,
        "is still loading its data: LOADING Redis is loading"
    );
}
