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

/// Leaves out what precedes the host in URLs.
fn without_passwords(text: String, arguments: impl Iterator<Item = String>) -> String {
    arguments.fold(text, |text, argument| {
        let Some((before, host)) = argument.rsplit_once('@') else {
            return text;
        };
        let scheme = before.find("://").map_or("", |at| &before[..at + 3]);
        if scheme.is_empty() {
            return text;
        }
        text.replace(&argument, &format!("{scheme}…@{host}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_of_urls_are_left_out() {
        let url = "--node=redis://me:p://a@ss@10.0.0.1:6379";
        let text = format!("unexpected argument '{url}' found");
        let arguments = ["redsync", "admin@example.com", url].map(str::to_owned);
        assert_eq!(
            without_passwords(text, arguments.into_iter()),
            "unexpected argument '--node=redis://…@10.0.0.1:6379' found"
        );
    }
}
