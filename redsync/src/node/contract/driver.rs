//! The test of a driver: whether it returns the replies that a node requires.

use futures_util::future::join_all;

use crate::{
    NodeError, OwnerValue,
    node::redis::{Driver, Reply},
};

/// Tests that a driver returns every kind of reply as the server sent it, and errors with their
/// codes.
///
/// The user needs permission to run `GET`, `SET`, `DEL`, `LPUSH`, `EVAL` and `EVALSHA` on keys that
/// begin with `contract:`.
///
/// # Panics
///
/// Panics if the driver returns another reply than the server has sent.
pub async fn driver<D: Driver>(driver: &D) {
    let id = OwnerValue::random("").expect("random bytes");
    let key = format!("contract:{{{}}}", id.as_str());
    let (key, binary) = (key.as_bytes(), &b"\0\r\n\xff$-1\r\n"[..]);

    let cases: [(&[&[u8]], Reply); 8] = [
        (&[b"GET", key], Reply::Nil),
        (&[b"SET", key, binary, b"NX", b"PX", b"60000"], status("OK")),
        (&[b"SET", key, b"", b"NX", b"PX", b"60000"], Reply::Nil),
        (&[b"GET", key], Reply::Bytes(binary.to_vec())),
        (&[b"EVAL", b"return {1, 'a', {-2}}", b"1", key], nested()),
        (&[b"EVAL", b"return {}", b"1", key], Reply::Array(vec![])),
        (&[b"EVAL", b"return false", b"1", key], Reply::Nil),
        (&[b"DEL", key], Reply::Integer(1)),
    ];
    for (command, expected) in cases {
        let reply = driver.command(command).await;
        let reply = reply.unwrap_or_else(|error| broken(driver, command, "a reply", &error));
        if reply != expected {
            broken(
                driver,
                command,
                &format!("{expected:?}, with its contents"),
                &reply,
            );
        }
    }

    let _ = driver.command(&[b"LPUSH", key, b"a"]).await;
    let unknown_script = [b'0'; 40];
    let errors: [(&[&[u8]], &str); 3] = [
        (&[b"EVALSHA", &unknown_script, b"1", key], "NOSCRIPT"),
        (&[b"GET", key], "WRONGTYPE"),
        (&[b"NO.SUCH.COMMAND", key, b"secret"], "ERR"),
    ];
    for (command, expected) in errors {
        let answer = driver.command(command).await;
        match &answer {
            Err(NodeError::Refused { code, .. }) if **code == *expected => {}
            _ => broken(driver, command, &format!("the error {expected}"), &answer),
        }
        if format!("{answer:?}").contains("secret") {
            broken(driver, command, "an error without the arguments", &answer);
        }
    }
    let _ = driver.command(&[b"DEL", key]).await;

    // Commands that are under way at the same time each get their own reply.
    let replies = (0..100).map(|number: i64| async move {
        let number_sent = number.to_string();
        let command: [&[u8]; 4] = [
            b"EVAL",
            b"return tonumber(ARGV[1])",
            b"0",
            number_sent.as_bytes(),
        ];
        let reply = driver.command(&command).await;
        if !matches!(reply, Ok(Reply::Integer(found)) if found == number) {
            broken(driver, &command, "its own reply", &reply);
        }
    });
    join_all(replies).await;
}

fn status(status: &str) -> Reply {
    Reply::Status(status.to_owned().into())
}

fn nested() -> Reply {
    Reply::Array(vec![
        Reply::Integer(1),
        Reply::Bytes(b"a".to_vec()),
        Reply::Array(vec![Reply::Integer(-2)]),
    ])
}

fn broken<D: Driver>(
    driver: &D,
    command: &[&[u8]],
    expected: &str,
    found: &dyn std::fmt::Debug,
) -> ! {
    let name = String::from_utf8_lossy(command[0]);
    let driver = driver.address();
    panic!(
        "the driver of {driver} breaks a promise: {name}\n  expected {expected}\n  found {found:?}"
    );
}
