use std::time::Duration;

use super::*;
use crate::{
    FencingToken,
    node::redis::{command::Command, dialect::DeleteIfEqual, script::RAISE},
};

fn entry() -> Entry {
    Entry::new("a", "mine".into(), Duration::from_secs(8))
}

/// The commands of an exchange with a server that sends these replies, and the answer.
fn exchange(
    operation: Operation,
    dialect: &Arc<Dialect>,
    replies: impl IntoIterator<Item = Result<Reply, NodeError>>,
) -> (Vec<String>, NodeAnswer) {
    exchange_for(&entry(), operation, dialect, replies)
}

fn exchange_for(
    entry: &Entry,
    operation: Operation,
    dialect: &Arc<Dialect>,
    replies: impl IntoIterator<Item = Result<Reply, NodeError>>,
) -> (Vec<String>, NodeAnswer) {
    let token = matches!(operation, Operation::Raise).then(|| FencingToken::new(7));
    let content = Content {
        token,
        ..Content::new(operation, entry)
    };
    let mut exchange = Exchange::new(&content, dialect);
    let mut asked = Vec::new();
    for reply in replies {
        let mut command = Command::default();
        exchange.write(&content, &mut command);
        let words = command.args().into_iter().map(String::from_utf8_lossy);
        // Hashes and code are not compared.
        let words: Vec<_> = words
            .map(|word| if word.len() > 39 { "...".into() } else { word })
            .collect();
        asked.push(words.join(" "));
        if let Some(answer) = exchange.reply(&content, reply) {
            return (asked, answer);
        }
    }
    panic!("no answer after {asked:?}");
}

fn refused(code: &str, message: &str) -> Result<Reply, NodeError> {
    Err(NodeError::refused(code, message))
}

const RELEASED: Answer = Answer::Release(ReleaseVote::Released);

/// A dialect after a first lock.
fn checked() -> Arc<Dialect> {
    let dialect = Arc::<Dialect>::default();
    dialect.note_release();
    dialect.run_by_hash.was_answered();
    dialect
}

const ACQUIRED: Answer = Answer::Acquire(AcquireVote::Acquired { number: None });

#[test]
fn a_name_that_is_kept_after_its_release_is_not_deleted() {
    let entry = entry();
    let content = Content {
        kept: Duration::from_micros(2500),
        ..Content::new(Operation::Release, &entry)
    };
    let exchange = Exchange::new(&content, &checked());
    let mut command = Command::default();
    exchange.write(&content, &mut command);
    let args = command.args();
    assert_eq!(args[3..], [b"a".as_slice(), b"mine", b"3"]);
}

#[test]
fn a_reservation_ends_if_the_user_may_end_it() {
    let entry = entry().with_repetition(true);
    let release = |replies: Vec<_>| {
        let dialect = checked();
        dialect.delete(DeleteIfEqual::Delifeq).was_refused();
        dialect.delete(DeleteIfEqual::Delex).was_refused();
        exchange_for(&entry, Operation::Release, &dialect, replies)
    };
    let not_owner = Answer::Release(ReleaseVote::NotOwner);
    let (asked, answer) = release(vec![Ok(Reply::Integer(1))]);
    assert_eq!((asked.len(), answer.unwrap()), (1, RELEASED));
    let none = || Ok(Reply::Integer(0));
    let (asked, answer) = release(vec![none(), none()]);
    assert_eq!(asked[1], "EVALSHA ... 1 a mine exclusive 500 0");
    assert_eq!(answer.unwrap(), not_owner);
    let refused = refused("NOPERM", "no permission to run 'type' script: f_0");
    let (_, answer) = release(vec![none(), refused.clone(), refused]);
    assert_eq!(answer.unwrap(), not_owner);
}

#[test]
fn a_name_that_has_become_free_was_taken_if_the_user_may_not_run_the_script_that_acquires_it() {
    let acquire = |entry: &Entry, code| {
        let denied = refused(code, "no permission to run 'type' script: f_0");
        // By its hash, and as code.
        let replies = [Ok(Reply::Nil), Ok(Reply::Nil), denied.clone(), denied];
        exchange_for(entry, Operation::Acquire, &checked(), replies)
    };
    let (asked, answer) = acquire(&entry(), "NOPERM");
    assert_eq!(asked.len(), 4);
    let taken = Answer::Acquire(AcquireVote::Taken { remaining: None });
    assert_eq!(answer.unwrap(), taken);
    // This is about the server.
    let (_, answer) = acquire(&entry(), "READONLY");
    assert!(matches!(answer, Err(NodeError::Refused { .. })));
}

#[test]
fn before_the_first_lock_a_server_is_asked_whether_it_could_release_it() {
    let dialect = Arc::<Dialect>::default();
    let set = || Ok(Reply::Status("OK".into()));
    let replies = [Ok(Reply::Integer(1)), set()];
    let (asked, answer) = exchange(Operation::Acquire, &dialect, replies);
    assert_eq!(asked, ["EVAL ... 1 a", "SET a mine NX PX 8000"]);
    assert_eq!(answer.unwrap(), ACQUIRED);
    let (asked, _) = exchange(Operation::Acquire, &dialect, [set()]);
    assert_eq!(asked, ["SET a mine NX PX 8000"]);
}

#[test]
fn only_a_server_that_has_set_a_name_grants_it() {
    // On a connection that somebody has left in a transaction.
    let replies = [Ok(Reply::Status("QUEUED".into()))];
    let (_, answer) = exchange(Operation::Acquire, &checked(), replies);
    assert!(
        matches!(answer, Err(NodeError::Unexpected(_))),
        "{answer:?}"
    );
}

#[test]
fn a_server_that_has_refused_a_release_is_checked_again() {
    // By its hash, and as code.
    let can_release_after = |operation, code| {
        let dialect = checked();
        dialect.delete(DeleteIfEqual::Delifeq).was_refused();
        dialect.delete(DeleteIfEqual::Delex).was_refused();
        let (_, answer) = exchange(operation, &dialect, [refused(code, ""), refused(code, "")]);
        assert!(answer.is_err(), "{answer:?}");
        dialect.can_release()
    };
    assert!(!can_release_after(Operation::Release, "NOPERM"));
    // This is about the server, and not about what its user may do.
    assert!(can_release_after(Operation::Release, "LOADING"));
    assert!(can_release_after(Operation::Extend, "NOPERM"));
}

#[test]
fn a_taken_name_says_nothing_about_releases() {
    let dialect = Arc::<Dialect>::default();
    let set = || Ok(Reply::Status("OK".into()));
    for _ in 0..2 {
        let replies = [Ok(Reply::Integer(0)), set()];
        let (asked, _) = exchange(Operation::Acquire, &dialect, replies);
        assert_eq!(asked, ["EVAL ... 1 a", "SET a mine NX PX 8000"]);
    }
    // Without scripts, the reply to a command shows as much.
    let dialect = Arc::<Dialect>::default();
    let replies = [
        refused("ERR", "no"),
        refused("WRONGTYPE", ""),
        Ok(Reply::Nil),
        Err(NodeError::TimedOut),
    ];
    let (_, answer) = exchange(Operation::Acquire, &dialect, replies);
    let taken = AcquireVote::Taken { remaining: None };
    assert_eq!(answer.unwrap(), Answer::Acquire(taken));
    assert!(!dialect.can_release());
}

#[test]
fn a_server_that_could_not_release_a_lock_is_not_asked_to_acquire_it() {
    let dialect = Arc::<Dialect>::default();
    let refusals = || ["script", "DELIFEQ", "DELEX"].map(|word| refused("no", word));
    let (asked, answer) = exchange(Operation::Acquire, &dialect, refusals());
    assert_eq!(
        asked,
        ["EVAL ... 1 a", "DELIFEQ a mine", "DELEX a IFEQ mine"]
    );
    let error = answer.unwrap_err();
    assert!(matches!(&error, NodeError::CannotRelease { error } if error.ends_with("no script")));
    assert!(error.is_undone());
    // Again and again, until it is configured in another way.
    let (asked, _) = exchange(Operation::Acquire, &dialect, refusals());
    assert_eq!(asked, ["EVAL ... 1 a"]);
    // Either of the commands is enough.
    for refused in 1..3 {
        let dialect = Arc::<Dialect>::default();
        let refusals = refusals().into_iter().take(refused);
        let replies = refusals.chain([Ok(Reply::Integer(0)), Ok(Reply::Status("OK".into()))]);
        let (_, answer) = exchange(Operation::Acquire, &dialect, replies);
        assert_eq!(answer.unwrap(), ACQUIRED);
        assert!(dialect.can_release());
    }
}

#[test]
fn a_server_that_refuses_everything_for_now_is_not_one_that_cannot_release() {
    for code in ["LOADING", "READONLY", "NOAUTH", "BUSY"] {
        let dialect = Arc::<Dialect>::default();
        let (_, answer) = exchange(Operation::Acquire, &dialect, [refused(code, "")]);
        assert!(
            matches!(answer, Err(NodeError::Refused { .. })),
            "{answer:?}"
        );
        assert_eq!(dialect.delete_if_equal(), Some(DeleteIfEqual::Delifeq));
    }
}

#[test]
fn each_command_that_a_server_does_not_know_is_sent_once() {
    for error in [
        ("ERR", "unknown command 'X'"),
        ("NOPERM", ""),
        ("unsupported", "command"),
        ("DENIED", ""),
    ] {
        let dialect = Arc::<Dialect>::default();
        let missing = || refused(error.0, error.1);
        let one = || Ok(Reply::Integer(1));
        let (asked, answer) = exchange(Operation::Release, &dialect, [missing(), missing(), one()]);
        let first = [
            "DELIFEQ a mine",
            "DELEX a IFEQ mine",
            "EVALSHA ... 1 a mine 0",
        ];
        assert_eq!(
            (&asked[..], answer.unwrap()),
            (&first.map(String::from)[..], RELEASED)
        );
        let (asked, _) = exchange(Operation::Release, &dialect, [one()]);
        assert_eq!(asked, ["EVALSHA ... 1 a mine 0"]);
    }
}

#[test]
fn after_an_error_about_the_key_the_script_is_sent() {
    for error in [("WRONGTYPE", ""), ("ERR", "Key should be of string type")] {
        let dialect = Arc::<Dialect>::default();
        let replies = [refused(error.0, error.1), Ok(Reply::Integer(0))];
        let (asked, answer) = exchange(Operation::Release, &dialect, replies);
        assert_eq!(asked, ["DELIFEQ a mine", "EVALSHA ... 1 a mine 0"]);
        assert_eq!(answer.unwrap(), Answer::Release(ReleaseVote::NotOwner));
        assert_eq!(dialect.delete_if_equal(), Some(DeleteIfEqual::Delifeq));
    }
}

#[test]
fn a_script_that_is_refused_by_its_hash_is_sent_as_code() {
    for error in [("NOSCRIPT", ""), ("NOPERM", "evalsha"), ("unsupported", "")] {
        let replies = [refused(error.0, error.1), Ok(Reply::Integer(1))];
        let (asked, _) = exchange(Operation::Raise, &checked(), replies);
        assert!(
            asked[0].starts_with("EVALSHA") && asked[1].starts_with("EVAL "),
            "{asked:?}"
        );
    }
}

/// A proxy may close the connection at a hash, and then it is unknown whether the script has run.
#[test]
fn until_a_script_was_answered_by_its_hash_none_is_sent_so_that_may_not_run_twice() {
    let dialect = Arc::<Dialect>::default();
    let ways = || {
        let operations = [
            Operation::Raise,
            Operation::Heal,
            Operation::Extend,
            Operation::Release,
        ];
        operations.map(|operation| {
            let entry = entry().with_names(["a", "b"]);
            let exchange = Exchange::new(&Content::new(operation, &entry), &dialect);
            let Step::Script(_, by) = exchange.step else {
                panic!("no script");
            };
            by
        })
    };
    assert_eq!(ways(), [By::Code, By::Code, By::Hash, By::Hash]);
    let cut_off = || NodeError::Disconnected(Arc::from(Box::from("closed")));
    let (_, answer) = exchange(Operation::Extend, &dialect, [Err(cut_off())]);
    assert!(matches!(answer, Err(NodeError::Disconnected(_))));
    assert_eq!(ways(), [By::Code; 4]);
    dialect.run_by_hash.was_answered();
    assert_eq!(ways(), [By::Hash; 4]);
    // The server has restarted.
    let (_, answer) = exchange(Operation::Extend, &dialect, [Err(cut_off())]);
    assert!(matches!(answer, Err(NodeError::Disconnected(_))));
    assert_eq!(ways(), [By::Hash; 4]);
}

#[test]
fn a_script_that_has_run_and_failed_is_not_sent_again() {
    let mut command = Command::default();
    RAISE.write_for_name(By::Hash, "a", &mut command);
    let hash = String::from_utf8_lossy(command.args()[1]).into_owned();
    for message in [
        format!("no counter script: {hash}, on @user_script:7."),
        format!("Error running script (call to f_{hash}): @user_script:7: no counter"),
    ] {
        let (asked, answer) = exchange(Operation::Raise, &checked(), [refused("ERR", &message)]);
        assert_eq!(asked.len(), 1);
        assert!(matches!(answer, Err(NodeError::Refused { .. })));
    }
}

#[test]
fn if_a_name_is_held_the_server_is_asked_for_its_holder() {
    let bytes = |text: &str| Reply::Bytes(text.into());
    let held = |value| {
        let parts = vec![bytes("exclusive"), bytes(value), Reply::Integer(70)];
        [Ok(Reply::Nil), Ok(Reply::Array(parts))]
    };
    let acquire = |replies| exchange(Operation::Acquire, &checked(), replies);
    let (asked, answer) = acquire(held("other"));
    assert_eq!(asked, ["SET a mine NX PX 8000", "EVALSHA ... 1 a"]);
    let remaining = Some(Duration::from_millis(70));
    assert_eq!(
        answer.unwrap(),
        Answer::Acquire(AcquireVote::Taken { remaining })
    );
    // The command was delivered twice.
    let (_, answer) = acquire(held("mine"));
    assert_eq!(
        answer.unwrap(),
        Answer::Acquire(AcquireVote::Acquired { number: None })
    );
    // The reply to the second question is an error, and the first reply still counts.
    let (_, answer) = acquire([Ok(Reply::Nil), Err(NodeError::TimedOut)]);
    let taken = AcquireVote::Taken { remaining: None };
    assert_eq!(answer.unwrap(), Answer::Acquire(taken));
}
