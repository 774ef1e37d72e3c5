//! What is printed instead of an action: a refusal of the arguments, the help or the version.

use std::{env, process::ExitCode};

use clap::error::Error;

use crate::{exit::code, say::write};

/// Prints a refusal, the help or the version, and returns the exit code.
pub(crate) fn refused(error: &Error) -> ExitCode {
    if !error.use_stderr() {
        // It cannot be said anywhere that it could not be printed.
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    // A refusal repeats the argument that is in the wrong place, and so does a log of it.
    let arguments = env::args_os().filter_map(|it| it.into_string().ok());
    write(&without_passwords(error.to_string(), arguments));
    ExitCode::from(code::USAGE)
}

/// Leaves out what precedes the host in URLs, and their queries.
fn without_passwords(text: String, arguments: impl Iterator<Item = String>) -> String {
    arguments.fold(text, |text, argument| {
        // A refusal may repeat a part of the argument, such as the value behind a `=`.
        match argument.split_once("://") {
            Some((_, rest)) if !rest.is_empty() => text.replace(rest, &without_credentials(rest)),
            _ => text,
        }
    })
}

/// The rest of a URL behind the scheme. If its last `@` comes after a `?`, it may be one of the
/// query.
fn without_credentials(rest: &str) -> String {
    let (hidden, host) = match rest.rsplit_once('@') {
        Some((before, _)) if before.contains('?') => return "…".to_owned(),
        Some((_, host)) => ("…@", host),
        None => ("", rest),
    };
    match host.split_once('?') {
        Some((host, _)) => format!("{hidden}{host}?…"),
        None => format!("{hidden}{host}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_urls_are_left_out() {
        for (argument, repeated, shown) in [
            (
                "--node=redis://me:p://a@ss@10.0.0.1:6379",
                "--node=redis://me:p://a@ss@10.0.0.1:6379",
                "--node=redis://…@10.0.0.1:6379",
            ),
            (
                "--wait=redis://me:pass@a",
                "redis://me:pass@a",
                "redis://…@a",
            ),
            ("-wredis://me:pass@a", "redis://me:pass@a", "redis://…@a"),
            ("unix:///a?pass=b", "unix:///a?pass=b", "unix:///a?…"),
            ("unix:///a?pass=b@c", "unix:///a?pass=b@c", "unix://…"),
            ("redis://a/1", "redis://a/1", "redis://a/1"),
            ("redis://", "redis://", "redis://"),
        ] {
            let text = format!("unexpected argument '{repeated}' found");
            let arguments = ["redsync", "admin@example.com", argument].map(str::to_owned);
            assert_eq!(
                without_passwords(text, arguments.into_iter()),
                format!("unexpected argument '{shown}' found")
            );
        }
    }
}
