//! The three commands of a floor, and their replies, as bytes.

use std::{
    io::{self, Error, Write},
    time::Duration,
};

const RELEASE: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// The hash by which a server knows the script that releases.
pub(super) type Script = [u8; 40];

/// An owner value.
pub(super) type Value = [u8; 32];

pub(super) fn value() -> Value {
    let mut value = Value::default();
    let mut rest = &mut value[..];
    write!(rest, "{:032x}", fastrand::u128(..)).expect("as long as that");
    value
}

/// Adds the command that acquires.
pub(super) fn acquire(commands: &mut Vec<u8>, name: &str, value: &Value, expiry: Duration) {
    let expiry = expiry.as_millis();
    let digits = expiry.checked_ilog10().unwrap_or_default() + 1;
    bulks(commands, "*6\r\n$3\r\nSET\r\n", name, value);
    write!(
        commands,
        "$2\r\nNX\r\n$2\r\nPX\r\n${digits}\r\n{expiry}\r\n"
    )
    .expect("memory can be written to");
}

/// Adds the command that releases.
pub(super) fn release(commands: &mut Vec<u8>, script: &Script, name: &str, value: &Value) {
    commands.extend_from_slice(b"*5\r\n$7\r\nEVALSHA\r\n$40\r\n");
    commands.extend_from_slice(script);
    bulks(commands, "\r\n$1\r\n1\r\n", name, value);
}

fn bulks(commands: &mut Vec<u8>, before: &str, name: &str, value: &Value) {
    write!(commands, "{before}${}\r\n{name}\r\n$32\r\n", name.len())
        .expect("memory can be written to");
    commands.extend_from_slice(value);
    commands.extend_from_slice(b"\r\n");
}

/// The command that loads the script on a server.
pub(super) fn load() -> Vec<u8> {
    let length = RELEASE.len();
    format!("*3\r\n$6\r\nSCRIPT\r\n$4\r\nLOAD\r\n${length}\r\n{RELEASE}\r\n").into_bytes()
}

/// The reply to [`load`], once all of it is there.
pub(super) fn loaded(reply: &[u8]) -> io::Result<Option<Script>> {
    if reply.starts_with(b"-") {
        return Err(refused(reply));
    }
    // A bulk string: `$40`, the hash.
    let hash = reply.get(5..45).filter(|_| reply.len() >= 47);
    Ok(hash.map(|hash| hash.try_into().expect("40 bytes")))
}

/// Takes the complete replies from the bytes that were read, and leaves the rest. Calls `vote` for
/// each reply, with whether it grants the command.
pub(super) fn votes(
    replies: &mut Vec<u8>,
    mut vote: impl FnMut(bool) -> io::Result<()>,
) -> io::Result<()> {
    let mut done = 0;
    while let Some(end) = replies[done..].iter().position(|byte| *byte == b'\n') {
        vote(match &replies[done..done + end] {
            b"+OK\r" | b":1\r" => true,
            b"$-1\r" | b"_\r" | b":0\r" => false,
            other => return Err(refused(other)),
        })?;
        done += end + 1;
    }
    replies.drain(..done);
    Ok(())
}

/// The error for a reply to no command.
pub(super) fn unasked() -> Error {
    Error::other("a reply to nothing")
}

fn refused(reply: &[u8]) -> Error {
    Error::other(String::from_utf8_lossy(reply))
}

/// The verdict of the votes on one command, as soon as it is clear. Later votes do not change it.
pub(super) fn verdict(nodes: u32, granted: u32, refused: u32) -> Option<bool> {
    let quorum = nodes / 2 + 1;
    if granted >= quorum {
        Some(true)
    } else if refused > nodes - quorum {
        Some(false)
    } else {
        None
    }
}
